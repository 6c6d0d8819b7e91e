//! Makes sure that `ui/dist` exists, so that the program builds before the dashboard has been built; the server then
//! answers with one sentence instead of the dashboard.

fn main() -> std::io::Result<()> {
    std::fs::create_dir_all("ui/dist")?;
    println!("cargo::rerun-if-changed=ui/dist");
    Ok(())
}

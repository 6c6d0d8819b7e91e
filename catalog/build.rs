//! Builds anew when a file is added to the catalog: the embedding macro only sees those that were there before.

fn main() {
    println!("cargo::rerun-if-changed=modules");
    println!("cargo::rerun-if-changed=frameworks");
}

//! `docs/tables.md` is written from the tables themselves; `UPDATE_GOLDEN=1` writes it anew.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

use std::fmt::Write as _;
use std::path::Path;

use tables::Engine;

fn page() -> String {
    let mut page = String::from(
        "# Tables\n\nWhat `tenantra-agent query` and the checks of modules can ask. Generated from the tables; do not edit.\n\n\
         **Bold** columns need a condition in WHERE or ON; *italic* ones make the table read less when they have one; \
         columns in (parentheses) are not part of `SELECT *`. Tables marked *live* show the running kernel and are empty for an image.\n\n\
         Conditions on `path` and `directory` take `=`, `IN`, `LIKE` and `GLOB`. In `LIKE`, `%` stays within one folder and `%%` \
         reaches everything below; in `GLOB`, `*` stays within one folder and `**` reaches everything below. A pattern that ends in `/` \
         is of folders. A byte of a name that is not UTF-8 is shown, and asked for, as `\\xff`.\n\n\
         What asks a service or the network (`docker_*`, `lxd_*`, `ec2_*`, `azure_*`, `ycloud_*`, `prometheus_metrics`, `*_endpoints`) \
         needs `requires.network` in a module: without it, connections are refused. `kubernetes_*` show the cluster that \
         `--kubeconfig` or `--in-cluster` names, and are empty without one ([kubernetes.md](kubernetes.md)). `iptables` and `nftables_rules` need the \
         capability NET_ADMIN.\n\n\
         ## Functions\n\
         Beside those of SQLite (JSON and dates among them), osquery's: `split`, `regex_match`, `regex_split`, `concat`, `concat_ws`, \
         `inet_aton`, `in_cidr_block`, `community_id_v1`, `md5`, `sha1`, `sha256`, `to_base64`, `from_base64`, `conditional_to_base64`, \
         `sqrt`, `exp`, `log` (natural), `log10`, `power`, `pi`, `sin`, `cos`, `tan`, `cot`, `asin`, `acos`, `atan`, `degrees`, `radians`, \
         `ceil`, `floor`, `version_compare`; the collations `version`, `version_dpkg`, `version_rhel`, `version_arch`; and `text REGEXP pattern`.\n\n\
         They differ from osquery where it would end a query for what a table may hold: `in_cidr_block` and `community_id_v1` of what is \
         no address are NULL. A block holds its first and last address. `version_compare` of two arguments gives -1, 0 or 1 by the rules \
         of Debian. `ssdeep_compare` is left out, as osquery itself has done.\n",
    );
    for table in Engine::tables() {
        let live = if table.is_live_only { " *live*" } else { "" };
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|column| {
                let name = match (column.is_required, column.is_index) {
                    (true, _) => format!("**{}**", column.name),
                    (_, true) => format!("*{}*", column.name),
                    _ => column.name.to_owned(),
                };
                if column.is_hidden { format!("({name})") } else { name }
            })
            .collect();
        let joined = if table.any_required { " One of the bold columns is enough." } else { "" };
        writeln!(page, "\n## {}{live}\n{}{joined}\n\n{}", table.name, table.description.trim(), columns.join(", "))
            .unwrap();
    }
    page.push_str(
        "\n## Left out, and why\nTables of osquery that this program does not have; a query that names one is told the same.\n\n",
    );
    let exists = |name: &str| Engine::tables().iter().any(|table| table.name == name);
    for group in Engine::left_out() {
        let names: Vec<&str> = group.tables.iter().copied().filter(|name| !exists(name)).collect();
        if !names.is_empty() {
            writeln!(page, "- {}: it {}.", names.join(", "), group.reason).unwrap();
        }
    }
    page
}

#[test]
fn the_page_of_tables_is_in_step() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tables.md");
    let page = page();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/tables.md is not in step: run the test with UPDATE_GOLDEN=1");
}

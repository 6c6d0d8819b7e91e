//! The program `tenantra`, run as a person runs it, and a database for it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tests::harness::{Postgres, program};

const PASSWORD: &str = "a-password-of-this-test";

/// What a run gave.
pub struct Told {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Told {
    pub fn ended(self, status: i32) -> Self {
        assert_eq!(self.status, status, "out: {}\nerr: {}", self.out, self.err);
        assert!(!self.out.contains("panicked") && !self.err.contains("panicked"), "{}{}", self.out, self.err);
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }
}

pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Told {
    let mut command = Command::new(program("tenantra").unwrap());
    let output = command.args(arguments).env_clear().envs(environment.iter().copied()).output().unwrap();
    Told {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// `tenantra module …` without a database.
pub fn module(arguments: &[&str]) -> Told {
    let arguments: Vec<&str> = ["module"].iter().chain(arguments).copied().collect();
    run(&arguments, &[])
}

/// A migrated database.
pub struct Database {
    pub owner_url: String,
    postgres: Postgres,
}

impl Database {
    pub async fn start() -> Self {
        let postgres = Postgres::start().await.unwrap();
        let mut url = url::Url::parse(postgres.url()).unwrap();
        url.set_username("tenantra_owner").unwrap();
        url.set_password(Some(PASSWORD)).unwrap();
        url.set_path("tenantra");
        let database = Self { owner_url: url.to_string(), postgres };
        let environment = [
            ("TENA_DB_ADMIN_URL", database.postgres.url()),
            ("TENA_DB_OWNER_PASSWORD", PASSWORD),
            ("TENA_DB_API_PASSWORD", PASSWORD),
        ];
        run(&["db", "bootstrap"], &environment).ended(0);
        database.run(&["db", "migrate"]).ended(0);
        database
    }

    pub fn run(&self, arguments: &[&str]) -> Told {
        run(arguments, &[("TENA_DB_OWNER_URL", &self.owner_url), ("USER", "tester")])
    }

    pub fn module(&self, arguments: &[&str]) -> Told {
        let arguments: Vec<&str> = ["module"].iter().chain(arguments).copied().collect();
        self.run(&arguments)
    }

    pub async fn sql(&self, statement: &str) {
        let db = sqlx::PgPool::connect(&self.owner_url).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&db).await.unwrap();
        db.close().await;
    }

    pub async fn text(&self, query: &str) -> String {
        let db = sqlx::PgPool::connect(&self.owner_url).await.unwrap();
        let text = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&db).await.unwrap();
        db.close().await;
        text
    }
}

/// A copy of the catalog's folder.
pub fn copied_catalog(into: &Path) -> std::path::PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalog");
    let folder = into.join("catalog");
    for name in ["modules", "frameworks"] {
        copy(&source.join(name), &folder.join(name));
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

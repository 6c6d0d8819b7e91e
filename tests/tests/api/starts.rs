//! A start that cannot work: it ends with 2 and says why, whatever the log lets through.

use std::process::{Command, Output};

use tests::harness::program;

const URL: &str = "postgres://tenantra_api@127.0.0.1/tenantra";
const SECRET: &str = "a secret of this test that has more than 32 bytes";

fn start(environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(program("tenantra-api").unwrap());
    let Output { status, stderr, .. } = command.env_clear().envs(environment.iter().copied()).output().unwrap();
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn a_configuration_that_cannot_work_ends_with_2_and_a_sentence() {
    for (environment, sentence) in [
        (
            &[("TENA_LOG_LEVEL", "loud"), ("TENA_DB_URL", URL), ("TENA_JWT_SECRET", SECRET), ("TENA_BUNDLE_KEY", "x")]
                [..],
            "'loud' is no level",
        ),
        (&[("TENA_LOG_LEVEL", "off")][..], "TENA_DB_URL is not set"),
        (&[("TENA_DB_URL", URL), ("TENA_JWT_SECRET", "short")][..], "TENA_JWT_SECRET must have at least 32 bytes"),
        (&[("TENA_RETENTION", "maybe")][..], "[possible values: on, dry-run, off]"),
    ] {
        let (code, said) = start(environment);
        assert_eq!(code, Some(2), "{environment:?}: {said}");
        assert!(said.contains(sentence), "{environment:?}: {said}");
    }
}

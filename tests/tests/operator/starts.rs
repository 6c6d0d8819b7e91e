//! A start that cannot work: it ends with 2 and says why, whatever the log lets through.

use std::process::{Command, Output};

use tests::harness::program;

fn start(environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(program("tenantra-operator").unwrap());
    let Output { status, stderr, .. } = command.env_clear().envs(environment.iter().copied()).output().unwrap();
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn a_configuration_that_cannot_work_ends_with_2_and_a_sentence() {
    for (environment, sentence) in [
        (&[("TENA_LOG_LEVEL", "loud")][..], "'loud' is no level"),
        (
            &[("TENA_LOG_LEVEL", "off"), ("KUBECONFIG", "/nonexistent")][..],
            "tenantra-operator: the Kubernetes configuration cannot be used",
        ),
        (&[("TENA_LISTEN", "8080")][..], "write address and port"),
    ] {
        let (code, said) = start(environment);
        assert_eq!(code, Some(2), "{environment:?}: {said}");
        assert!(said.contains(sentence), "{environment:?}: {said}");
    }
}

//! Tables of a cluster against servers that are none: nothing is taken for true that did not come whole, and nothing that a
//! server sends is held without a bound. What a real API server says is in the workspace's tests.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tables::kubernetes::{Access, Cluster};
use tables::{Engine, Gap, Host, Limits, Parameters, QueryOutput};

/// A server that answers each request, by its path and number.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

type Answer = Box<dyn Fn(&str, usize, &mut TcpStream) + Send + Sync>;

impl Server {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (log, count) = (Arc::clone(&asked), AtomicUsize::new(0));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = vec![0; 8_192];
                let length = stream.read(&mut request).unwrap_or(0);
                let head = String::from_utf8_lossy(&request[..length]).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                log.lock().unwrap().push(path.clone());
                answer(&path, count.fetch_add(1, Ordering::Relaxed), &mut stream);
            }
        });
        Server { port, asked }
    }

    /// One that answers every request with JSON.
    fn saying(answer: impl Fn(&str, usize) -> String + Send + Sync + 'static) -> Self {
        Self::start(Box::new(move |path, number, stream| {
            let body = answer(path, number);
            let status = if body.starts_with("403") { "403 Forbidden" } else { "200 OK" };
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok();
        }))
    }

    fn engine(&self, limits: Limits) -> Engine {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let config = format!(
            "current-context: t\ncontexts: [{{name: t, context: {{cluster: c}}}}]\nclusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{}'}}}}]\n",
            self.port
        );
        std::fs::write(&file, config).unwrap();
        let access = Access::from_kubeconfig(&file, None, false).unwrap();
        let host = Host { cluster: Some(Arc::new(Cluster::new(access))), ..Host::image(folder.path()) };
        Engine::open(host, limits).unwrap()
    }

    fn ask(&self, sql: &str) -> QueryOutput {
        ask(&self.engine(Limits::default()), sql)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn ask(engine: &Engine, sql: &str) -> QueryOutput {
    engine.query(sql, &Parameters::new()).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn pod(name: &str, namespace: &str) -> String {
    format!("{{\"metadata\":{{\"name\":\"{name}\",\"namespace\":\"{namespace}\"}}}}")
}

fn names(output: &QueryOutput) -> Vec<String> {
    output.rows.iter().map(|row| row[0].to_string()).collect()
}

/// That what came proves nothing, and why.
fn undecided(output: &QueryOutput) -> &str {
    let warning = output.warnings.iter().find(|warning| warning.gap == Gap::Undecided);
    &warning.unwrap_or_else(|| panic!("{:?}", output.warnings)).message
}

#[test]
fn without_a_cluster_there_is_a_word_why() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(Host::image(folder.path()), Limits::default()).unwrap();
    for table in Engine::tables().iter().filter(|table| table.name.starts_with("kubernetes_")) {
        let output = ask(&engine, &format!("SELECT * FROM {}", table.name));
        assert!(output.rows.is_empty());
        assert_eq!(output.warnings[0].gap, Gap::NoSubject, "{}", table.name);
        assert_eq!(output.warnings[0].message, "no Kubernetes cluster is given: pass --kubeconfig");
    }
}

#[test]
fn a_list_is_read_page_by_page() {
    let server = Server::saying(|path, _| match path {
        "/api/v1/pods?limit=500" => format!("{{\"metadata\":{{\"continue\":\"a+/=\"}},\"items\":[{}]}}", pod("a", "x")),
        "/api/v1/pods?limit=500&continue=a%2B%2F%3D" => format!("{{\"metadata\":{{}},\"items\":[{}]}}", pod("b", "x")),
        other => panic!("{other}"),
    });
    assert_eq!(names(&server.ask("SELECT name FROM kubernetes_pod ORDER BY name")), ["a", "b"]);
}

#[test]
fn a_condition_asks_for_a_part_and_a_join_for_the_whole_list_once() {
    let server = Server::saying(|path, _| {
        let is_part = path.starts_with("/api/v1/namespaces/x/pods?") || path.contains("fieldSelector");
        if path.starts_with("/api/v1/namespaces?") {
            let items: Vec<String> = (0..50).map(|number| pod(&format!("n{number}"), "")).collect();
            format!("{{\"items\":[{}]}}", items.join(","))
        } else if is_part {
            format!("{{\"items\":[{}]}}", pod("a", "x"))
        } else {
            format!("{{\"items\":[{},{}]}}", pod("a", "x"), pod("c", "n7"))
        }
    });
    let engine = server.engine(Limits::default());
    assert_eq!(names(&ask(&engine, "SELECT name FROM kubernetes_pod WHERE namespace = 'x' AND name = 'a'")), ["a"]);
    assert_eq!(server.asked(), ["/api/v1/namespaces/x/pods?limit=500&fieldSelector=metadata.name%3Da"]);
    let joined = "SELECT p.name FROM kubernetes_namespace n JOIN kubernetes_pod p ON p.namespace = n.name";
    assert_eq!(names(&ask(&engine, joined)), ["c"]);
    assert!(server.asked().len() < 8, "{:?}", server.asked());
    // Kept for the checks that follow.
    let before = server.asked().len();
    assert_eq!(names(&ask(&engine, "SELECT name FROM kubernetes_pod WHERE namespace = 'x'")), ["a"]);
    assert_eq!(server.asked().len(), before);
    for hostile in ["../../secrets", "a?b=c", "a b"] {
        let sql = format!("SELECT name FROM kubernetes_service WHERE namespace = '{hostile}'");
        assert!(ask(&engine, &sql).rows.is_empty());
    }
    assert_eq!(server.asked().len(), before, "a namespace that cannot be one was asked for");
}

#[test]
fn what_may_not_be_listed_leaves_everything_undecided() {
    let server = Server::saying(|path, _| {
        if path.contains("networkpolicies") { "403".into() } else { format!("{{\"items\":[{}]}}", pod("a", "x")) }
    });
    let engine = server.engine(Limits::default());
    let output = ask(
        &engine,
        "SELECT n.name FROM kubernetes_namespace n WHERE NOT EXISTS (SELECT 1 FROM kubernetes_network_policy p WHERE p.namespace = n.name)",
    );
    assert!(undecided(&output).contains("may not list networkpolicies.networking.k8s.io"), "{}", undecided(&output));
    // And again, from what is kept.
    assert!(undecided(&ask(&engine, "SELECT name FROM kubernetes_network_policy")).contains("verb list"));
}

#[test]
fn what_is_no_list_is_no_list() {
    let deep = format!("{{\"items\":[{}", "[".repeat(100_000));
    let wide = format!("{{\"items\":[[{}0]]}}", "0,".repeat(300_000));
    for body in ["", "<html>", "[]", "{}", "{\"items\":7}", "{\"items\":[{\"metadata\"", &deep, &wide] {
        let body = body.to_owned();
        let server = Server::saying(move |_, _| body.clone());
        let output = server.ask("SELECT name FROM kubernetes_pod");
        assert!(output.rows.is_empty());
        undecided(&output);
    }
}

#[test]
fn objects_of_any_shape_become_rows() {
    let server = Server::saying(|_, _| {
        "{\"items\":[7,null,[],\"x\",{\"metadata\":7},{\"metadata\":{\"name\":[1],\"labels\":\"x\",\"creationTimestamp\":true},\"spec\":{\"containers\":{}}}]}".to_owned()
    });
    let output = server.ask("SELECT * FROM kubernetes_pod");
    assert_eq!(output.rows.len(), 6);
}

#[test]
fn a_list_without_end_ends() {
    // The same page for ever, and pages that are made up.
    let server =
        Server::saying(|_, _| format!("{{\"metadata\":{{\"continue\":\"again\"}},\"items\":[{}]}}", pod("a", "x")));
    let output = server.ask("SELECT count(*) FROM kubernetes_pod");
    assert!(undecided(&output).contains("does not come to an end"));
    let server = Server::saying(|_, number| format!("{{\"metadata\":{{\"continue\":\"{number}\"}},\"items\":[]}}"));
    let output = server.ask("SELECT count(*) FROM kubernetes_pod");
    assert!(undecided(&output).contains("longer than"), "{}", undecided(&output));
    let server = Server::saying(|_, number| {
        format!("{{\"metadata\":{{\"continue\":\"{number}\"}},\"items\":[{}]}}", pod("a", "x"))
    });
    let engine = server.engine(Limits { rows: 50, ..Limits::default() });
    let error = engine.query("SELECT count(*) FROM kubernetes_pod", &Parameters::new()).unwrap_err();
    assert!(error.to_string().contains("50 rows"), "{error}");
}

#[test]
fn a_page_that_is_too_long_is_asked_for_in_pieces() {
    let server = Server::saying(|path, _| {
        if path.contains("limit=500") || path.contains("limit=62") {
            format!("{{\"items\":[\"{}\"]}}", "x".repeat(5 << 20))
        } else if path.contains("continue") {
            format!("{{\"items\":[{}]}}", pod("b", "x"))
        } else {
            format!("{{\"metadata\":{{\"continue\":\"1\"}},\"items\":[{}]}}", pod("a", "x"))
        }
    });
    assert_eq!(names(&server.ask("SELECT name FROM kubernetes_pod ORDER BY name")), ["a", "b"]);
    assert!(server.asked().iter().any(|path| path.contains("limit=7")));
    // One object that is too long is one too many.
    let server = Server::saying(|_, _| format!("{{\"items\":[\"{}\"]}}", "x".repeat(5 << 20)));
    undecided(&server.ask("SELECT name FROM kubernetes_pod"));
}

#[test]
fn a_server_that_drips_or_hangs_does_not_hold_up_a_query() {
    for drips in [false, true] {
        let server = Server::start(Box::new(move |_, _, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{\"items\":[").ok();
            while drips && stream.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
            std::thread::sleep(Duration::from_secs(5));
        }));
        let engine = server.engine(Limits { time: Duration::from_secs(2), ..Limits::default() });
        let started = Instant::now();
        engine.query("SELECT name FROM kubernetes_pod", &Parameters::new()).ok();
        assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    }
}

#[test]
fn a_server_that_is_not_there_is_said() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server { port, asked: Arc::default() };
    let output = server.ask("SELECT name FROM kubernetes_pod");
    assert!(undecided(&output).contains("does not list pods"), "{}", undecided(&output));
    undecided(&server.ask("SELECT version FROM kubernetes_cluster"));
}

#[test]
fn the_version_of_the_cluster_is_a_row() {
    let server = Server::saying(|path, _| {
        assert_eq!(path, "/version");
        "{\"major\":\"1\",\"minor\":\"34+\",\"gitVersion\":\"v1.34.1\",\"platform\":\"linux/amd64\"}".to_owned()
    });
    let output = server.ask("SELECT name, version, major, minor FROM kubernetes_cluster");
    assert_eq!(output.rows[0].iter().map(ToString::to_string).collect::<Vec<_>>(), ["t", "v1.34.1", "1", "34"]);
}

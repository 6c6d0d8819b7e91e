//! The tables that ask a service of the host, over a socket that answers as recorded.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

mod made;

use made::{Made, ask, lines};

/// Answers every question at a path of the host with what is recorded for it, in chunks, as Docker does; nothing else is
/// known. The thread ends with the test.
fn serve(host: &Made, socket: &str, answers: &'static [(&'static str, &'static str)]) {
    let path: PathBuf = host.path(socket);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let question = lines.next().unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let asked = question.split(' ').nth(1).unwrap_or_default();
            let answer = match answers.iter().find(|(path, _)| *path == asked) {
                Some((_, body)) => {
                    let (first, second) = body.split_at(body.len() / 2);
                    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
                    format!(
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}{}0\r\n\r\n",
                        chunk(first),
                        chunk(second)
                    )
                }
                None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            };
            stream.write_all(answer.as_bytes()).ok();
        }
    });
}

const DOCKER: &[(&str, &str)] = &[
    ("/version", r#"{"Version": "27.1.1", "ApiVersion": "1.46", "Os": "linux"}"#),
    ("/info", r#"{"ID": "x", "Containers": 2, "Driver": "overlay2", "MemoryLimit": true, "MemTotal": 8589934592}"#),
    (
        "/containers/json?all=1",
        r#"[{"Id": "0123456789abcdef", "Names": ["/web"], "Image": "nginx", "ImageID": "sha256:77aa", "State": "running",
            "Created": 1700000000, "Labels": {"owner": "ops"},
            "Mounts": [{"Type": "bind", "Source": "/var/run/docker.sock", "Destination": "/docker.sock", "RW": true}],
            "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2", "IPPrefixLen": 16}}}},
           {"Id": "fedcba9876543210", "Names": ["/db"], "Image": "postgres", "State": "exited"}]"#,
    ),
    (
        "/containers/0123456789abcdef/json",
        r#"{"State": {"Pid": 0, "StartedAt": "2024-01-01T00:00:00Z"}, "Path": "/entrypoint", "Config": {"Env": ["A=1", "SECRET=x"], "Entrypoint": ["/entrypoint"]},
            "HostConfig": {"Privileged": true, "SecurityOpt": ["seccomp=unconfined"], "ReadonlyRootfs": false}}"#,
    ),
    ("/containers/fedcba9876543210/json", "{}"),
    ("/containers/0123/changes", r#"[{"Path": "/usr/bin/x", "Kind": 1}, {"Path": "/tmp", "Kind": 0}]"#),
    (
        "/containers/0123/stats?stream=false",
        r#"{"name": "/web", "read": "2024-01-01T00:00:01Z", "preread": "2024-01-01T00:00:00Z", "pids_stats": {"current": 3},
            "networks": {"eth0": {"rx_bytes": 5}, "eth1": {"rx_bytes": 6}},
            "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 7}, {"op": "write", "value": 8}]}}"#,
    ),
    (
        "/images/json",
        r#"[{"Id": "sha256:77aa", "Created": 1, "Size": 9, "RepoTags": ["nginx:1", "nginx:latest"], "Labels": {"maintainer": "x"}}]"#,
    ),
    ("/images/77aa/json", r#"{"RootFS": {"Layers": ["sha256:1", "sha256:2"]}}"#),
    ("/images/77aa/history", r#"[{"Created": 1, "Size": 2, "CreatedBy": "RUN curl x", "Tags": ["nginx:1"]}]"#),
    (
        "/networks",
        r#"[{"Id": "n1", "Name": "bridge", "Driver": "bridge", "Created": "1970-01-01T00:01:00.5+00:00", "IPAM": {"Config": [{"Subnet": "172.17.0.0/16"}]}, "Labels": {"a": "b"}}]"#,
    ),
    (
        "/volumes",
        r#"{"Volumes": [{"Name": "data", "Driver": "local", "Mountpoint": "/v/data", "Labels": {"k": "v"}}, {"Name": "data2"}]}"#,
    ),
];

#[test]
fn docker_is_shown_as_it_answers() {
    let host = Made::new().with("/proc/1/stat", "");
    serve(&host, "/run/docker.sock", DOCKER);
    let engine = host.running();
    for (sql, expected) in [
        ("SELECT version, api_version, min_api_version FROM docker_version", &["27.1.1|1.46|"][..]),
        ("SELECT containers, storage_driver, memory_limit, memory FROM docker_info", &["2|overlay2|1|8589934592"]),
        (
            "SELECT id, name, image_id, privileged, security_options, config_entrypoint FROM docker_containers ORDER BY name DESC",
            &["0123456789abcdef|/web|77aa|1|seccomp=unconfined|/entrypoint", "fedcba9876543210|/db||||"],
        ),
        ("SELECT id, name FROM docker_containers WHERE id = '0123'", &["0123|/web"]),
        ("SELECT key, value FROM docker_container_envs WHERE id = '0123'", &["A|1", "SECRET|x"]),
        ("SELECT id, key, value FROM docker_container_labels", &["0123456789abcdef|owner|ops"]),
        ("SELECT source, destination, rw FROM docker_container_mounts", &["/var/run/docker.sock|/docker.sock|1"]),
        ("SELECT type, port, host_ip, host_port FROM docker_container_ports", &["tcp|80|0.0.0.0|8080"]),
        ("SELECT name, ip_address, ip_prefix_len FROM docker_container_networks", &["bridge|172.17.0.2|16"]),
        ("SELECT path, change_type FROM docker_container_fs_changes WHERE id = '0123'", &["/usr/bin/x|A", "/tmp|C"]),
        (
            "SELECT name, pids, interval, disk_read, disk_write, network_rx_bytes FROM docker_container_stats WHERE id = '0123'",
            &["/web|3|1000000000|7|8|11"],
        ),
        ("SELECT * FROM docker_container_stats WHERE id = '../../version'", &[]),
        ("SELECT id, size_bytes, tags FROM docker_images", &["77aa|9|nginx:1,nginx:latest"]),
        ("SELECT id, created_by FROM docker_image_history", &["77aa|RUN curl x"]),
        ("SELECT layer_id, layer_order FROM docker_image_layers WHERE id = '77'", &["1|1", "2|2"]),
        ("SELECT key, value FROM docker_image_labels", &["maintainer|x"]),
        ("SELECT name, created, subnet FROM docker_networks", &["bridge|60|172.17.0.0/16"]),
        ("SELECT id, key FROM docker_network_labels", &["n1|a"]),
        ("SELECT name, mount_point FROM docker_volumes WHERE name = 'data'", &["data|/v/data"]),
        ("SELECT name, key, value FROM docker_volume_labels", &["data|k|v"]),
    ] {
        let output = ask(&engine, sql);
        assert_eq!(lines(&output), expected, "{sql}");
        assert!(output.warnings.is_empty(), "{sql}: {:?}", output.warnings);
    }
}

const LXD: &[(&str, &str)] = &[
    ("/1.0/certificates?recursion=1", r#"{"metadata": [{"name": "ci", "type": "client", "fingerprint": "f"}]}"#),
    (
        "/1.0/cluster",
        r#"{"metadata": {"server_name": "a", "enabled": true, "member_config": [{"entity": "storage-pool", "key": "source"}]}}"#,
    ),
    (
        "/1.0/cluster/members?recursion=1",
        r#"{"metadata": [{"server_name": "a", "database": true, "status": "Online"}]}"#,
    ),
    (
        "/1.0/images?recursion=1",
        r#"{"metadata": [{"fingerprint": "77", "properties": {"os": "Debian"}, "aliases": [{"name": "d"}, {"name": "e"}], "public": false, "size": 3}]}"#,
    ),
    (
        "/1.0/instances?recursion=1",
        r#"{"metadata": [{"name": "web", "status": "Running", "config": {"image.os": "Debian", "volatile.base_image": "77"}}]}"#,
    ),
    ("/1.0/instances/web/state", r#"{"metadata": {"pid": 7, "processes": 12}}"#),
    (
        "/1.0/instances/web",
        r#"{"metadata": {"expanded_config": {"security.privileged": "true"}, "expanded_devices": {"root": {"type": "disk", "path": "/"}}}}"#,
    ),
    (
        "/1.0/networks?recursion=1",
        r#"{"metadata": [{"name": "lxdbr0", "managed": true, "config": {"ipv4.address": "10.0.0.1/24"}, "used_by": ["/1.0/x"]}]}"#,
    ),
    ("/1.0/networks/lxdbr0/state", r#"{"metadata": {"counters": {"bytes_received": 5}, "mtu": 1500}}"#),
    (
        "/1.0/storage-pools?recursion=1",
        r#"{"metadata": [{"name": "default", "driver": "zfs", "config": {"source": "/x"}}]}"#,
    ),
    ("/1.0/storage-pools/default/resources", r#"{"metadata": {"space": {"used": 1, "total": 2}}}"#),
];

#[test]
fn lxd_is_shown_as_it_answers() {
    let host = Made::new().with("/proc/1/stat", "");
    serve(&host, "/var/snap/lxd/common/lxd/unix.socket", LXD);
    let engine = host.running();
    for (sql, expected) in [
        ("SELECT name, type, fingerprint FROM lxd_certificates", "ci|client|f"),
        ("SELECT server_name, enabled, member_config_key FROM lxd_cluster", "a|1|source"),
        ("SELECT server_name, database, status FROM lxd_cluster_members", "a|1|Online"),
        ("SELECT id, os, aliases, public, size FROM lxd_images", "77|Debian|d,e|0|3"),
        ("SELECT name, status, os, base_image, pid, processes FROM lxd_instances", "web|Running|Debian|77|7|12"),
        ("SELECT key, value FROM lxd_instance_config WHERE name = 'web'", "security.privileged|true"),
        (
            "SELECT device, device_type, value FROM lxd_instance_devices WHERE name = 'web' AND key = 'path'",
            "root|disk|/",
        ),
        (
            "SELECT name, managed, ipv4_address, used_by, bytes_received, mtu FROM lxd_networks",
            "lxdbr0|1|10.0.0.1/24|/1.0/x|5|1500",
        ),
        ("SELECT name, driver, source, space_used, space_total FROM lxd_storage_pools", "default|zfs|/x|1|2"),
    ] {
        assert_eq!(lines(&ask(&engine, sql)), [expected], "{sql}");
    }
}

#[test]
fn without_a_service_there_is_no_row_and_a_word_why() {
    let host = Made::new().with("/proc/1/stat", "");
    let engine = host.running();
    for table in ["docker_containers", "lxd_instances", "ec2_instance_metadata", "azure_instance_tags"] {
        let output = ask(&engine, &format!("SELECT * FROM {table}"));
        assert!(output.rows.is_empty(), "{table}");
        assert_eq!(output.warnings[0].gap, tables::Gap::NoSubject, "{table}");
    }
}

#[test]
fn a_service_that_does_not_answer_does_not_hold_up_a_query() {
    let host = Made::new().with("/proc/1/stat", "").with("/var/run/x", "");
    // It takes connections and says nothing.
    let _listener = UnixListener::bind(host.path("/var/run/docker.sock")).unwrap();
    let started = std::time::Instant::now();
    let output = ask(&host.running(), "SELECT * FROM docker_version");
    assert!(output.rows.is_empty() && started.elapsed().as_secs() < 10);
    assert_eq!(output.warnings[0].gap, tables::Gap::Unread);
}

#[test]
fn a_program_offers_numbers_to_prometheus() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}/metrics", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        lines.take_while(|line| !line.is_empty()).for_each(drop);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n# TYPE up gauge\nup{job=\"a b\"} 1 1000\n").unwrap();
    });
    let host = Made::new().with("/proc/1/stat", "");
    let sql = format!(
        "SELECT metric_name, metric_value, timestamp_ms FROM prometheus_metrics WHERE target_name = '{target}'"
    );
    assert_eq!(lines(&ask(&host.running(), &sql)), ["up{job=\"a b\"}|1|1000"]);
}

#[test]
fn containers_of_containerd_are_read_from_their_bundles() {
    let bundle = "/run/containerd/io.containerd.runtime.v2.task/k8s.io/c1";
    let host = Made::new().with(&format!("{bundle}/init.pid"), "77").with(
        &format!("{bundle}/config.json"),
        r#"{"process": {"args": ["/bin/sh", "-c", "x"], "user": {"uid": 0}, "noNewPrivileges": true, "capabilities": {"bounding": ["CAP_SYS_ADMIN"]}},
            "root": {"readonly": true}, "mounts": [{"source": "/etc", "destination": "/host", "type": "bind", "options": ["rbind", "ro"]}],
            "annotations": {"io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.sandbox-name": "app-1"},
            "linux": {"namespaces": [{"type": "mount"}, {"type": "network", "path": "/proc/1/ns/net"}]}}"#,
    );
    let engine = host.image();
    let sql = "SELECT namespace, id, name, pod, pid, command, capabilities, no_new_privileges, readonly_rootfs, seccomp, own_namespaces FROM containerd_containers";
    assert_eq!(lines(&ask(&engine, sql)), ["k8s.io|c1|app|app-1|77|/bin/sh -c x|CAP_SYS_ADMIN|1|1|0|mount"]);
    let sql = "SELECT source, destination, readonly FROM containerd_mounts WHERE container_id = 'c1'";
    assert_eq!(lines(&ask(&engine, sql)), ["/etc|/host|1"]);
}

use super::*;
use proptest::prelude::*;

const X: &str = "Tr0ub4dor";

#[test]
fn every_pattern_compiles() {
    assert_eq!(PATTERNS.len(), 58);
}

#[test]
fn secrets_are_taken_out_and_the_rest_stays() {
    for (text, expected) in [
        ("mysql --password=hunter22 -u x", "mysql --password=[secret] -u x"),
        ("curl --token abcdef", "curl --token [secret]"),
        ("postgres://app:s3cret@db/x", "postgres://app:[secret]@db/x"),
        ("root:$6$salt$abcdefghijklmnop:19000", "root:[password digest]:19000"),
        ("admin:$apr1$salt1234$abcdefghijklmnop", "admin:[password digest]"),
        ("userPassword: {SSHA}abcdefghijklmnop", "userPassword: [password digest]"),
        (concat!("id AKIA", "ABCDEFGHIJKLMNOP"), "id [access key]"),
        ("mysqldump -uroot -pTr0ub4dor shop", "mysqldump -uroot -p[secret] shop"),
        ("curl -s -u admin:Tr0ub4dor https://h/x", "curl -s -u admin:[secret] https://h/x"),
        ("DB_PASS=Tr0ub4dor /opt/run", "DB_PASS=[secret] /opt/run"),
        ("export PASSPHRASE=Tr0ub4dor", "export PASSPHRASE=[secret]"),
        (r#"{"password": "Tr0ub4dor", "user": "x"}"#, r#"{"password": "[secret]", "user": "x"}"#),
        (r#"{\"password\": \"my Tr0ub4dor\"}"#, r#"{\"password\": \"[secret]\"}"#),
        ("redis://:Tr0ub4dor@host:6379/0", "redis://:[secret]@host:6379/0"),
        ("sshpass -p Tr0ub4dor ssh u@h", "sshpass -p [secret] ssh u@h"),
        ("sshpass -pTr0ub4dor ssh u@h", "sshpass -p[secret] ssh u@h"),
        ("tool --pass Tr0ub4dor --all", "tool --pass [secret] --all"),
        ("tool --db-password 'my Tr0ub4dor' --all", "tool --db-password '[secret]' --all"),
        ("password=\"my Tr0ub4dor\" x", "password=\"[secret]\" x"),
        ("password=\"my Tr0ub4dor", "password=\"[secret]"),
        ("password=abc;Tr0ub4dor x", "password=[secret] x"),
        ("git clone https://u:p/Tr0ub4dor@h/r.git", "git clone https://u:[secret]@h/r.git"),
        ("https://u:p@Tr0ub4dor@h,https://v:q@i", "https://u:[secret]@h,https://v:[secret]@i"),
        ("openssl enc -pass pass:Tr0ub4dor", "openssl enc -pass [secret]"),
        ("from pass:Tr0ub4dor", "from pass:[secret]"),
        ("ldapsearch -x -D cn=admin -w Tr0ub4dor -b dc=x", "ldapsearch -x -D cn=admin -w [secret] -b dc=x"),
        ("curl -H 'X-Auth: Tr0ub4dor' -d 'a' h", "curl -H 'X-Auth: [secret]' -d 'a' h"),
        ("curl -H 'Authorization: Bearer Tr0ub4dor' h", "curl -H 'Authorization: Bearer [secret]' h"),
        ("credential=Tr0ub4dor", "credential=[secret]"),
        (concat!("login hf", "_abcdefghijABCDEFGHIJ0123456789abcd"), "login [token]"),
        (concat!("use sk", "_live_abcdefghij0123456789"), "use [token]"),
        (concat!("use AI", "zaSyA1234567890abcdefghijklmnopqrstuv"), "use [token]"),
        ("machine h login me password Tr0ub4dor", "machine h login me password [secret]"),
        ("requirepass Tr0ub4dor", "requirepass [secret]"),
        ("ALTER USER a IDENTIFIED BY 'Tr0ub4dor'", "ALTER USER a IDENTIFIED BY '[secret]'"),
        ("echo me:Tr0ub4dor | chpasswd", "echo [secret] | chpasswd"),
        ("smbclient //h/s -U me%Tr0ub4dor", "smbclient //h/s -U me%[secret]"),
        ("AccountName=a;AccountKey=Tr0ub4dor==", "AccountName=a;AccountKey=[secret]"),
        ("dbPassword => 'Tr0ub4dor',", "dbPassword => '[secret]',"),
        ("sshpass -p Tr0ub4dor ssh -p 22 u@h", "sshpass -p [secret] ssh -p 22 u@h"),
        ("curl -u a:Tr0ub4dor -U b:Tr0ub4dor h", "curl -u a:[secret] -U b:[secret] h"),
        ("smbclient //h/s Tr0ub4dor -c 'get //a b'", "smbclient //h/s [secret] -c 'get //a b'"),
        ("sqlplus scott/Tr0ub4dor@db @/x a/b", "sqlplus scott/[secret] @/x a/b"),
        ("htpasswd -b /etc/f u Tr0ub4dor > /x", "htpasswd -b /etc/f u [secret] > /x"),
        ("htpasswd -c -bC 10 /etc/f u 'my Tr0ub4dor'", "htpasswd -c -bC 10 /etc/f u [secret]"),
        ("htpasswd -nbB u Tr0ub4dor > /x", "htpasswd -nbB u [secret] > /x"),
        ("curl --oauth2-bearer Tr0ub4dor https://h", "curl --oauth2-bearer [secret] https://h"),
        ("curl -s -b \"a=1; session=Tr0ub4dor\" https://h", "curl -s -b [secret] https://h"),
        ("curl --cookie session=Tr0ub4dor https://h", "curl --cookie [secret] https://h"),
        ("curl -H 'Cookie: session=Tr0ub4dor' h", "curl -H 'Cookie: [secret]' h"),
        ("wget -q 'https://h/?a=b&key=Tr0ub4dor&c=d'", "wget -q 'https://h/?a=b&key=[secret]&c=d'"),
        ("curl https://h/?key=Tr0ub4dor", "curl https://h/?key=[secret]"),
        ("curl https://hooks.slack.com/services/T/B/Tr0ub4dor", "curl https://hooks.slack.com/services/[secret]"),
        ("curl https://api.telegram.org/bot1:Tr0ub4dor/x", "curl https://api.telegram.org/bot[secret]"),
        ("xfreerdp /v:h /u:a /p:Tr0ub4dor", "xfreerdp /v:h /u:a /p:[secret]"),
        ("rdesktop -u a -p Tr0ub4dor h", "rdesktop -u a -p [secret] h"),
        ("sqlplus -s scott/Tr0ub4dor@db @/opt/x.sql", "sqlplus -s scott/[secret] @/opt/x.sql"),
        ("smbclient //h/s Tr0ub4dor -U a", "smbclient //h/s [secret] -U a"),
        (r#"expect -c 'send "Tr0ub4dor\r"'"#, r#"expect -c 'send "[secret]\r"'"#),
        (r#"send -- "Tr0ub4dor\n"; expect x"#, r#"send -- "[secret]\n"; expect x"#),
        ("kinit a <<< Tr0ub4dor", "kinit a <<< [secret]"),
        ("echo Tr0ub4dor | kinit a", "echo [secret] | kinit a"),
        ("unlock pin=Tr0ub4dor", "unlock pin=[secret]"),
        ("unlock --so-pin Tr0ub4dor x", "unlock --so-pin [secret] x"),
        ("MYSQL_PWD=$ecret", "MYSQL_PWD=[secret]"),
        ("smbclient -U a //h/s; echo Tr0ub4dor | sudo -S ls", "smbclient -U a //h/s; echo [secret] | sudo -S ls"),
        ("echo 'a Tr0ub4dor' b | sudo -k -u c -S ls", "echo [secret] | sudo -k -u c -S ls"),
        ("printf '%s' Tr0ub4dor|sudo -p '' -nS ls", "printf [secret]|sudo -p '' -nS ls"),
        ("echo Tr0ub4dor | docker login -u a --password-stdin", "echo [secret] | docker login -u a --password-stdin"),
        ("echo Tr0ub4dor | vault login -", "echo [secret] | vault login -"),
        ("openssl enc -aes256 -k Tr0ub4dor -in /x", "openssl enc -aes256 -k [secret] -in /x"),
        ("openssl req -passin pass:Tr0ub4dor -keyout /x", "openssl req -passin [secret] -keyout /x"),
        ("openssl dgst -sha256 -hmac Tr0ub4dor /x", "openssl dgst -sha256 -hmac [secret] /x"),
        ("openssl passwd -6 -salt ab Tr0ub4dor", "openssl passwd -6 -salt ab [secret]"),
        ("mkpasswd -m sha-512 Tr0ub4dor", "mkpasswd -m sha-512 [secret]"),
        ("vault login Tr0ub4dor; ls", "vault login [secret]; ls"),
        ("bao login -address https://h -no-print \"Tr0ub4dor\"", "bao login -address https://h -no-print \"[secret]\""),
        ("vault operator unseal Tr0ub4dor=", "vault operator unseal [secret]"),
        ("ssh-keygen -q -N 'my Tr0ub4dor' -f /x", "ssh-keygen -q -N [secret] -f /x"),
        ("mysqladmin -u root password Tr0ub4dor", "mysqladmin -u root password [secret]"),
        ("rabbitmqctl add_user u Tr0ub4dor", "rabbitmqctl add_user u [secret]"),
        (
            "kubectl create secret generic x --from-literal=a=Tr0ub4dor",
            "kubectl create secret generic x --from-literal=a=[secret]",
        ),
        ("tailscale up --authkey Tr0ub4dor", "tailscale up --authkey [secret]"),
        ("aws configure set aws_secret_access_key Tr0ub4dor", "aws configure set aws_secret_access_key [secret]"),
        ("bindpw = Tr0ub4dor", "bindpw = [secret]"),
        ("unzip -P Tr0ub4dor a.zip", "unzip -P [secret] a.zip"),
    ] {
        let shown = redact(text);
        assert_eq!(shown, expected, "{text}");
        assert!(!shown.contains(X), "{text}");
    }
    assert_eq!(redact(&"a".repeat(100_000)).chars().count(), 4_001);
    assert_eq!(
        redact("a\n-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nb"),
        "a\n[private key]\nb"
    );
}

#[test]
fn what_is_no_secret_stays() {
    for text in [
        "PASS_MAX_DAYS 99999",
        "PASS_MAX_DAYS=99999",
        "PasswordAuthentication yes",
        "PasswordAuthentication: prohibited",
        "PermitEmptyPasswords=no",
        "passwd: files systemd",
        "passwd_tries=3, passwd_timeout=5",
        "PWD=/srv/app OLDPWD=/work",
        "PASSWORD=$DB_PASSWORD PASSWORD=${PASSWORD} TOKEN=$(cat /run/token)",
        "password_file=/etc/x --token-file /run/t --password-stdin",
        "ssl_private_key=/etc/ssl/private/x.pem",
        "max_tokens=4096",
        "bypass=always compass: north",
        "/usr/bin/passwd --lock games",
        "pg_dump --no-password shop",
        "docker run -u 1000:1000 -p 80:80 -w 5 nginx",
        "mkdir -p /srv/a && ssh -p 2222 h && grep -w word file",
        "mysqldump -u root -p --port=3306 shop",
        "curl -u admin https://h:8080/a@b",
        "http://[::1]:8080/x@y and ssh://git@h:22/r.git and mailto:a@b",
        "auth required pam_unix.so nullok try_first_pass",
        "root:x:0:0:root:/root:/bin/bash",
        "0 5 * * * root /usr/lib/apt/apt.systemd.daily update",
        "kubelet --authorization-mode=Webhook --anonymous-auth=false --token-auth-file=/etc/k",
        "secretName: regcred, secretKeyRef: {name: x}",
        "SHA256:3lZ5u/abc ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIabc me@h",
        "Pin: release a=stable",
        "Pin-Priority: 500",
        "smbclient //h/s -A /etc/smb.auth -c ls",
        "sqlplus -S /nolog @/opt/x.sql",
        "curl -b /tmp/jar -c /tmp/jar https://h/x",
        "htpasswd -c /etc/f u",
        "xfreerdp /v:h /port:3389",
        "sendmail -t and send mail",
        "echo \"deb x\" | sudo tee -a /etc/apt/sources.list; sort -S 1M",
        "echo hello; ls | sudo -n ls",
        "openssl req -newkey rsa:2048 -nodes -keyout /x -out /y",
        "vault login -method=userpass username=bob; vault token lookup",
        "ssh-keygen -t ed25519 -N \"\" -P '' -f /x",
        "a\u{301} = ü: 'x' \\",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn a_column_says_what_its_text_is() {
    let row = |columns: &[&str], values: &[&str]| -> Vec<String> {
        let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
        let values: Vec<Value> = values.iter().map(|&value| Value::from(value)).collect();
        redact_row(&columns, &values).iter().map(|value| value.as_str().unwrap_or_default().to_owned()).collect()
    };
    // process_envs and docker_container_envs have the name beside the value.
    assert_eq!(row(&["pid", "key", "value"], &["1", "DB_PASS", "my horse"]), ["1", "DB_PASS", "[secret]"]);
    assert_eq!(row(&["key", "value"], &["PASS_MAX_DAYS", "365"]), ["PASS_MAX_DAYS", "365"]);
    assert_eq!(row(&["keyword", "value"], &["passwordauthentication", "yes"]), ["passwordauthentication", "yes"]);
    assert_eq!(row(&["resource", "value"], &["/etc/app/secret", "0644"]), ["/etc/app/secret", "0644"]);
    // A column of its own.
    assert_eq!(row(&["password", "password_status"], &["my horse", "locked"]), ["[secret]", "locked"]);
    // A key without a name, in a column of any text, and in one whose texts are known.
    let key = "wJalrXUtnFEMI4K7MDENGabPxRfiCYzEXAMPLEKEY";
    let line = format!("upload {key} /usr/lib/x86_64-linux-gnu/OpenJDK17JreHeadless");
    let shown = "upload [secret] /usr/lib/x86_64-linux-gnu/OpenJDK17JreHeadless";
    assert_eq!(row(&["command", "path"], &[line.as_str(), line.as_str()]), [shown, line.as_str()]);
    assert_eq!(redact_row(&["n".to_owned()], &[Value::Integer(3)]), [serde_json::Value::from(3)]);
}

#[test]
fn texts_made_to_take_long_do_not() {
    let begun = std::time::Instant::now();
    for part in [
        "token:/etc/",
        "password=",
        "--password ",
        "://a:",
        "mysql -x ",
        "'\"",
        "\\\"",
        "token='",
        "curl -u a",
        "aB1/",
        "$6$a",
        "token:yes\" ",
        "htpasswd -b ",
        "send ",
        "curl -b a",
        "sqlplus a",
        "smbclient //a ",
        "echo a ",
        "echo a | sudo -a ",
        "vault login -a b ",
    ] {
        let text = part.repeat(MAX_SEARCHED_BYTES / part.len());
        assert!(redact(&text).len() <= MAX_TEXT_BYTES + 3, "{part}");
        redact_row(&["command".to_owned()], &[Value::from(text)]);
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}

proptest! {
    #[test]
    fn the_result_is_bounded(text in "(?s).{0,6000}") {
        prop_assert!(redact(&text).len() <= text.len().max(MAX_TEXT_BYTES) + 64);
    }

    #[test]
    fn any_text_of_marks_is_read(text in "[-=:/@\"' \\\\a-cé$]{0,200}", name in "(PASS|--token|key|pw) ?[=:]?") {
        let text = format!("{name}{text}");
        redact(&text);
        redact_row(&["line".to_owned()], &[Value::from(text)]);
    }
}

-- Questions as an intrusion-detection pack asks them, over every table. One name a query, on a comment line before it.
-- The test `queries.rs` runs each of them on a recorded host and on the host that runs the test.

-- === accounts ===

-- account_with_uid_0_beside_root
SELECT username, shell, directory FROM users WHERE uid = 0 AND username <> 'root';
-- account_that_can_log_in_without_a_home
SELECT u.username, u.directory FROM users u LEFT JOIN file f ON f.path = u.directory WHERE u.shell NOT LIKE '%/nologin' AND u.shell NOT LIKE '%/false' AND f.path IS NULL;
-- accounts_that_share_an_id
SELECT uid, count(*) AS names, group_concat(username, ', ') AS usernames FROM users GROUP BY uid HAVING names > 1;
-- accounts_and_their_groups_on_both_sides
SELECT u.username, g.groupname FROM users u FULL JOIN groups g ON g.gid = u.gid;
-- accounts_that_share_a_name
SELECT username, count(*) AS lines FROM users GROUP BY username HAVING lines > 1;
-- account_of_a_service_with_a_shell
SELECT username, uid, shell FROM users WHERE uid > 0 AND uid < 1000 AND regex_match(shell, '/(ba|da|z|k|c|tc|fi)?sh$', 0) IS NOT NULL;
-- account_whose_shell_is_not_listed
SELECT u.username, u.shell FROM users u WHERE u.shell <> '' AND u.shell NOT IN (SELECT line FROM file_lines WHERE path = '/etc/shells' AND pattern = '^/');
-- account_with_a_home_of_another
SELECT a.username, b.username AS other, a.directory FROM users a JOIN users b ON a.directory = b.directory AND a.uid < b.uid WHERE a.directory LIKE '/home/%';
-- home_folder_that_others_may_write
SELECT u.username, f.path, f.mode FROM users u JOIN file f ON f.path = u.directory WHERE u.uid >= 1000 AND (CAST(substr(f.mode, -1) AS INTEGER) & 2) <> 0;
-- home_folder_of_another_owner
SELECT u.username, f.path, f.uid FROM users u JOIN file f ON f.path = u.directory WHERE u.directory LIKE '/home/%' AND f.uid <> u.uid;
-- account_by_name_as_text
SELECT CAST(uid AS TEXT) AS id, username FROM users WHERE username = 'root';
-- groups_that_share_an_id
SELECT gid, group_concat(groupname) AS names FROM groups GROUP BY gid HAVING count(*) > 1;
-- account_in_a_group_that_is_not_there
SELECT u.username, u.gid FROM users u LEFT JOIN groups g USING (gid) WHERE g.gid IS NULL;
-- members_of_powerful_groups
SELECT u.username, g.groupname FROM user_groups ug JOIN users u USING (uid) JOIN groups g ON g.gid = ug.gid WHERE g.groupname IN ('sudo', 'wheel', 'adm', 'docker', 'lxd', 'disk', 'shadow');
-- groups_of_each_account
SELECT u.username, count(*) AS groups FROM users u JOIN user_groups ug USING (uid) GROUP BY u.username ORDER BY groups DESC, u.username LIMIT 10;
-- account_with_an_empty_password
SELECT username FROM shadow WHERE password_status = 'empty';
-- account_with_a_weak_digest
SELECT username, hash_alg FROM shadow WHERE password_status = 'active' AND hash_alg IN ('1', '2', '2a', 'des');
-- password_older_than_a_year
SELECT s.username, s.last_change FROM shadow s JOIN time t WHERE s.password_status = 'active' AND s.last_change < t.unix_time / 86400 - 365;
-- password_that_never_expires
SELECT s.username, s.max FROM shadow s JOIN users u USING (username) WHERE s.password_status = 'active' AND s.max > 365;
-- account_in_shadow_without_a_line_in_passwd
SELECT s.username FROM shadow s LEFT JOIN users u ON u.username = s.username WHERE u.username IS NULL;
-- password_that_is_found_by_trying
SELECT w.username, w.found FROM weak_passwords w JOIN users u USING (username) WHERE u.uid = 0;
-- policy_of_new_passwords
SELECT key, CAST(value AS INTEGER) AS days FROM login_defs WHERE key IN ('PASS_MAX_DAYS', 'PASS_MIN_DAYS', 'PASS_WARN_AGE');
-- method_of_new_digests
SELECT value FROM login_defs WHERE key = 'ENCRYPT_METHOD' AND upper(value) NOT IN ('YESCRYPT', 'SHA512');
-- logins_that_failed_to_end
SELECT username, tty, host, datetime(time, 'unixepoch') AS at FROM last WHERE type_name = 'user-process' ORDER BY time DESC LIMIT 20;
-- logins_from_other_networks
SELECT DISTINCT username, host FROM last WHERE host <> '' AND inet_aton(host) IS NOT NULL AND in_cidr_block('10.0.0.0/8', host) = 0;
-- reboots
SELECT datetime(time, 'unixepoch') AS at, type_name FROM last WHERE username IN ('reboot', 'shutdown') ORDER BY time DESC LIMIT 5;
-- sessions_with_their_programs
SELECT l.user, l.tty, l.host, p.name, p.cmdline FROM logged_in_users l JOIN processes p ON p.pid = l.pid;
-- sessions_of_root_from_elsewhere
SELECT user, host, tty FROM logged_in_users WHERE user = 'root' AND host <> '' AND host NOT LIKE ':%';
-- keys_that_open_root
SELECT k.algorithm, k.comment, k.key_file FROM authorized_keys k JOIN users u USING (uid) WHERE u.uid = 0;
-- keys_that_open_many_accounts
SELECT sha256(key) AS fingerprint, count(DISTINCT uid) AS accounts FROM authorized_keys GROUP BY key HAVING accounts > 1;
-- keys_of_a_weak_kind
SELECT u.username, k.algorithm, k.key_file FROM users u JOIN authorized_keys k USING (uid) WHERE k.algorithm IN ('ssh-dss', 'ssh-rsa1');
-- keys_with_forced_commands
SELECT uid, options, comment FROM authorized_keys WHERE options LIKE '%command=%';
-- private_keys_without_a_passphrase
SELECT u.username, k.path, k.key_type, k.key_length FROM users u JOIN user_ssh_keys k USING (uid) WHERE k.encrypted = 0;
-- private_keys_that_are_short
SELECT uid, path, key_length FROM user_ssh_keys WHERE key_type = 'rsa' AND key_length < 3072;
-- private_keys_that_others_may_read
SELECT k.path, f.mode FROM user_ssh_keys k JOIN file f USING (path) WHERE f.mode NOT IN ('0600', '0400');
-- hosts_that_accounts_know
SELECT u.username, count(*) AS hosts FROM users u JOIN known_hosts k USING (uid) GROUP BY u.username;
-- hosts_known_in_clear_text
SELECT key_file, split(key, ' ', 0) AS host FROM known_hosts WHERE key NOT LIKE '|1|%' LIMIT 50;
-- commands_that_fetch_and_run
SELECT u.username, h.command FROM users u JOIN shell_history h USING (uid) WHERE regex_match(h.command, '(curl|wget)[^|]*\|\s*(sudo\s+)?(ba)?sh', 0) IS NOT NULL;
-- commands_that_hide_themselves
SELECT uid, command, history_file FROM shell_history WHERE command LIKE '%unset HISTFILE%' OR command LIKE '%history -c%' OR command LIKE '%HISTSIZE=0%';
-- commands_with_encoded_parts
SELECT command FROM shell_history WHERE command LIKE '%base64 -d%' OR command LIKE '%base64 --decode%';
-- commands_by_hour
SELECT strftime('%H', time, 'unixepoch') AS hour, count(*) AS commands FROM shell_history WHERE time > 0 GROUP BY hour ORDER BY hour;
-- options_of_ssh_clients_that_trust_anyone
SELECT uid, block, option, ssh_config_file FROM ssh_configs WHERE option LIKE '%stricthostkeychecking no%';
-- agents_forwarded_by_configuration
SELECT u.username, c.block, c.option FROM ssh_configs c LEFT JOIN users u USING (uid) WHERE c.option LIKE 'forwardagent yes%';
-- sudo_without_a_password
SELECT source, header, rule_details FROM sudoers WHERE rule_details LIKE '%NOPASSWD%';
-- sudo_for_everything
SELECT header, rule_details FROM sudoers WHERE regex_match(rule_details, 'ALL\s*=\s*\(ALL(:ALL)?\)\s*(NOPASSWD:\s*)?ALL', 0) IS NOT NULL;
-- sudo_rules_of_accounts
SELECT u.username, s.rule_details FROM users u JOIN sudoers s ON s.header = u.username;
-- sudo_defaults
SELECT source, rule_details FROM sudoers WHERE header = 'Defaults' ORDER BY source, rule_details;
-- what_sudo_gives_without_a_password
SELECT users, runas, command FROM sudo_commands WHERE needs_password = 0 ORDER BY source, users, command;
-- settings_of_sudo_for_some_only
SELECT scope, name, operator, value FROM sudo_defaults WHERE scope <> '' ORDER BY position;
-- rules_of_pam_that_let_pass
SELECT file, line, module FROM pam_rules WHERE module = 'pam_permit.so' AND control = 'sufficient';
-- rules_of_pam_that_take_empty_passwords
SELECT file, type, arguments FROM pam_rules WHERE module = 'pam_unix.so' AND arguments LIKE '%nullok%';
-- rules_of_pam_that_others_pass_over
SELECT file, line, type, module FROM pam_rules WHERE reached = 'never' ORDER BY file, line;
-- failures_after_which_accounts_lock
SELECT file, line, value, source FROM pam_settings WHERE module = 'pam_faillock.so' AND name = 'deny' ORDER BY file, line;
-- modules_of_pam_that_are_not_packaged
SELECT DISTINCT p.module FROM pam_rules p WHERE p.module LIKE '/%' AND p.module NOT IN (SELECT path FROM deb_package_files WHERE package = 'libpam-modules');

-- === processes ===

-- process_without_a_file_on_disk
SELECT pid, name, path, cmdline FROM processes WHERE on_disk = 0;
-- process_from_a_folder_that_everyone_may_write
SELECT pid, name, path FROM processes WHERE path LIKE '/tmp/%' OR path LIKE '/var/tmp/%' OR path LIKE '/dev/shm/%';
-- process_with_a_hidden_name
SELECT pid, path, cmdline FROM processes WHERE path LIKE '%/.%/%' OR regex_match(name, '^\.', 0) IS NOT NULL;
-- process_that_poses_as_the_kernel
SELECT pid, name, path FROM processes WHERE name LIKE '[%' AND path <> '';
-- process_that_gained_rights
SELECT pid, name, uid, euid, suid FROM processes WHERE euid = 0 AND uid <> 0;
-- process_with_its_parent
SELECT p.pid, p.name, q.name AS parent FROM processes p LEFT JOIN processes q ON q.pid = p.parent WHERE p.name IN ('sh', 'bash', 'dash', 'python3', 'perl', 'nc');
-- shell_started_by_a_server
SELECT p.pid, p.cmdline, q.name AS server FROM processes p JOIN processes q ON p.parent = q.pid WHERE p.name IN ('sh', 'bash', 'dash') AND q.name IN ('nginx', 'apache2', 'httpd', 'php-fpm', 'mysqld', 'postgres', 'java', 'node');
-- process_with_an_encoded_command
SELECT pid, name, regex_match(cmdline, '[A-Za-z0-9+/]{60,}={0,2}', 0) AS blob FROM processes WHERE regex_match(cmdline, '[A-Za-z0-9+/]{60,}={0,2}', 0) IS NOT NULL;
-- process_with_a_reverse_shell
SELECT pid, cmdline FROM processes WHERE cmdline LIKE '%/dev/tcp/%' OR regex_match(cmdline, '\bnc(at)?\b.*\s-e\s', 0) IS NOT NULL;
-- process_of_a_program_with_its_digest
SELECT p.pid, p.name, h.sha256 FROM processes p JOIN hash h ON h.path = p.path WHERE p.name = 'sshd';
-- process_of_a_changed_program
SELECT p.name, p.path, f.mtime, p.start_time FROM processes p JOIN file f ON f.path = p.path WHERE f.ctime > p.start_time + 1 AND p.start_time > 0;
-- process_of_an_unpackaged_program
SELECT DISTINCT p.path FROM processes p LEFT JOIN file f ON f.path = p.path WHERE p.path LIKE '/opt/%' OR p.path LIKE '/usr/local/%';
-- memory_of_processes
SELECT name, count(*) AS processes, round(sum(resident_size) / 1048576.0, 1) AS mib FROM processes GROUP BY name ORDER BY mib DESC LIMIT 10;
-- busiest_processes
SELECT name, pid, (user_time + system_time) / 1000.0 AS seconds FROM processes ORDER BY seconds DESC LIMIT 5;
-- processes_by_account
SELECT u.username, count(*) AS processes FROM processes p LEFT JOIN users u ON u.uid = p.uid GROUP BY p.uid;
-- processes_by_age
SELECT p.name, t.unix_time - p.start_time AS seconds FROM processes p JOIN time t WHERE p.start_time > 0 ORDER BY seconds LIMIT 5;
-- process_by_its_number
SELECT name, state, threads, nice, cwd, root FROM processes WHERE pid = 1;
-- process_in_another_root
SELECT pid, name, root FROM processes WHERE root NOT IN ('/', '');
-- process_with_a_preloaded_library
SELECT p.pid, p.name, e.value FROM processes p JOIN process_envs e USING (pid) WHERE e.key = 'LD_PRELOAD';
-- process_with_secrets_in_its_variables
SELECT pid, key FROM process_envs WHERE pid = 1 AND (key LIKE '%PASSWORD%' OR key LIKE '%SECRET%' OR key LIKE '%TOKEN%');
-- process_with_a_proxy
SELECT pid, value FROM process_envs WHERE key IN ('http_proxy', 'https_proxy', 'ALL_PROXY');
-- memory_that_may_be_written_and_run
SELECT DISTINCT m.pid, m.path FROM process_memory_map m WHERE m.pid = 1 AND m.permissions LIKE 'rwx%';
-- libraries_from_odd_places
SELECT DISTINCT m.path FROM processes p JOIN process_memory_map m USING (pid) WHERE p.pid = 1 AND m.path LIKE '%.so%' AND m.path NOT LIKE '/usr/lib%' AND m.path NOT LIKE '/lib%';
-- libraries_that_were_replaced
SELECT DISTINCT pid, path FROM process_memory_map WHERE pid IN (SELECT pid FROM processes WHERE pid < 3) AND path LIKE '%(deleted)%';
-- processes_in_other_namespaces
SELECT n.pid, n.pid_namespace, n.net_namespace FROM process_namespaces n WHERE n.net_namespace <> (SELECT net_namespace FROM process_namespaces WHERE pid = 1);
-- namespaces_by_size
SELECT mnt_namespace, count(*) AS processes FROM process_namespaces GROUP BY mnt_namespace ORDER BY processes DESC;
-- files_open_after_their_end
SELECT p.name, f.path FROM process_open_files f JOIN processes p USING (pid) WHERE f.path LIKE '%(deleted)';
-- secrets_that_are_open
SELECT p.name, f.path FROM process_open_files f JOIN processes p USING (pid) WHERE f.path IN ('/etc/shadow', '/etc/gshadow', '/root/.ssh/id_rsa');
-- files_open_in_processes
SELECT pid, count(*) AS files FROM process_open_files GROUP BY pid ORDER BY files DESC LIMIT 5;
-- connections_to_elsewhere
SELECT p.name, s.remote_address, s.remote_port FROM process_open_sockets s JOIN processes p USING (pid) WHERE s.remote_address NOT IN ('', '0.0.0.0', '::', '127.0.0.1', '::1');
-- connections_to_public_addresses
SELECT pid, remote_address FROM process_open_sockets WHERE family = 2 AND remote_port > 0 AND in_cidr_block('10.0.0.0/8', remote_address) = 0 AND in_cidr_block('172.16.0.0/12', remote_address) = 0 AND in_cidr_block('192.168.0.0/16', remote_address) = 0 AND in_cidr_block('127.0.0.0/8', remote_address) = 0;
-- connections_by_flow
SELECT community_id_v1(local_address, remote_address, local_port, remote_port, protocol) AS flow, pid FROM process_open_sockets WHERE family = 2 AND protocol = 6 AND remote_port > 0;
-- sockets_of_no_process
SELECT family, protocol, state, count(*) AS sockets FROM process_open_sockets WHERE pid = -1 GROUP BY family, protocol, state;
-- pipes_between_a_shell_and_a_socket
SELECT a.pid, a.partner_pid, a.type FROM process_open_pipes a WHERE a.pid <> a.partner_pid LIMIT 20;
-- pipes_that_are_named
SELECT pid, fd, inode, mode FROM process_open_pipes WHERE type = 'fifo';
-- ports_that_anyone_reaches
SELECT p.name, l.port, l.protocol, l.address FROM listening_ports l LEFT JOIN processes p USING (pid) WHERE l.address IN ('0.0.0.0', '::') ORDER BY l.port;
-- ports_below_1024_not_of_root
SELECT l.port, p.name, p.uid FROM listening_ports l JOIN processes p USING (pid) WHERE l.port BETWEEN 1 AND 1023 AND p.euid <> 0;
-- ports_of_plain_text_services
SELECT port, pid FROM listening_ports WHERE port IN (21, 23, 69, 110, 143, 512, 513, 514) AND protocol IN (6, 17);
-- ports_with_their_service
SELECT l.port, s.name, l.pid FROM listening_ports l LEFT JOIN etc_services s ON s.port = l.port AND s.protocol = 'tcp' WHERE l.protocol = 6;
-- sockets_of_unix_without_a_file
SELECT l.path FROM listening_ports l LEFT JOIN file f ON f.path = l.path WHERE l.family = 1 AND l.path LIKE '/%' AND f.path IS NULL;
-- limits_that_are_missing
SELECT type, soft_limit, hard_limit FROM ulimit_info WHERE soft_limit = 'unlimited';
-- limit_of_open_files
SELECT CAST(soft_limit AS INTEGER) AS files FROM ulimit_info WHERE type = 'nofile';

-- === files ===

-- files_of_accounts_and_who_may_write
SELECT path, mode, uid, gid FROM file WHERE path IN ('/etc/passwd', '/etc/shadow', '/etc/group', '/etc/gshadow', '/etc/sudoers');
-- files_changed_today_in_etc
SELECT f.path, datetime(f.mtime, 'unixepoch') AS changed FROM file f JOIN time t WHERE f.path LIKE '/etc/%' AND f.mtime > t.unix_time - 86400;
-- files_below_cron
SELECT path, mode FROM file WHERE path LIKE '/etc/cron%/%' AND type = 'regular';
-- hidden_files_in_temporary_folders
SELECT path, uid, size FROM file WHERE (directory = '/tmp' OR directory = '/var/tmp') AND filename LIKE '.%';
-- programs_in_temporary_folders
SELECT path FROM file WHERE directory IN ('/tmp', '/var/tmp', '/dev/shm') AND type = 'regular' AND substr(mode, 2, 1) IN ('7', '5', '1');
-- links_out_of_etc
SELECT path, symlink_target_path FROM file WHERE directory = '/etc' AND symlink = 1;
-- devices_outside_of_dev
SELECT path, type FROM file WHERE path LIKE '/etc/%%' AND type IN ('block', 'character');
-- files_by_pattern_of_the_shell
SELECT path, size FROM file WHERE path GLOB '/etc/*.conf' ORDER BY size DESC LIMIT 5;
-- files_in_deep_folders
SELECT count(*) AS units FROM file WHERE path LIKE '/etc/systemd/%%';
-- digest_of_system_programs
SELECT path, md5, sha1, sha256 FROM hash WHERE path IN ('/bin/ls', '/bin/ps', '/usr/bin/passwd');
-- digests_of_a_folder
SELECT path, sha256 FROM hash WHERE directory = '/etc/cron.d';
-- same_program_under_two_names
SELECT a.path, b.path AS twin FROM hash a JOIN hash b ON a.sha256 = b.sha256 AND a.path < b.path WHERE a.directory = '/etc/cron.daily' AND b.directory = '/etc/cron.weekly';
-- capabilities_of_programs
SELECT path, value FROM extended_attributes WHERE directory = '/usr/bin' AND key = 'security.capability';
-- attributes_of_a_file
SELECT key, value, base64 FROM extended_attributes WHERE path = '/etc/passwd';
-- addresses_in_configuration
SELECT path, regex_match(line, '([0-9]{1,3}\.){3}[0-9]{1,3}', 0) AS address FROM file_lines WHERE path GLOB '/etc/*.conf' AND pattern = '([0-9]{1,3}\.){3}[0-9]{1,3}';
-- preloaded_libraries
SELECT line FROM file_lines WHERE path = '/etc/ld.so.preload' AND pattern = '\S';
-- proxies_in_profiles
SELECT path, line_number, line FROM file_lines WHERE path GLOB '/etc/profile.d/*.sh' AND pattern = '(?i)proxy=';
-- what_lies_in_temporary_folders
SELECT path, data, mime_type FROM magic WHERE path LIKE '/tmp/%' AND data NOT LIKE 'ASCII text%';
-- processes_whose_program_is_packed_or_static
SELECT p.pid, p.path, m.data FROM processes p JOIN magic m ON m.path = p.path WHERE m.data LIKE 'ELF%statically linked%';
-- programs_that_run_as_their_owner
SELECT path, username, permissions FROM suid_bin WHERE username = 'root' ORDER BY path;
-- programs_that_run_as_their_owner_in_odd_places
SELECT path FROM suid_bin WHERE path NOT LIKE '/usr/%' AND path NOT LIKE '/bin/%' AND path NOT LIKE '/sbin/%';
-- files_that_everyone_may_write
SELECT path, mode, uid FROM unusual_files WHERE world_writable = 1 AND type = 'regular';
-- folders_that_everyone_may_write_without_the_sticky_bit
SELECT path FROM unusual_files WHERE world_writable = 1 AND sticky = 0 AND type = 'directory';
-- files_of_nobody
SELECT path, uid, gid FROM unusual_files WHERE no_user = 1 OR no_group = 1;
-- programs_with_capabilities
SELECT path, capabilities FROM unusual_files WHERE capabilities <> '' ORDER BY path;

-- === packages and programs ===

-- packages_by_size
SELECT name, version, size FROM deb_packages ORDER BY CAST(size AS INTEGER) DESC LIMIT 10;
-- packages_with_their_configuration_left
SELECT name FROM deb_packages WHERE status LIKE 'deinstall%';
-- package_older_than_its_repair
SELECT name, version FROM deb_packages WHERE name = 'openssl' AND version < '3.0.15-1~deb12u1' COLLATE version_dpkg;
-- either_of_two_vulnerable_packages
SELECT name FROM deb_packages WHERE (name = 'openssl' AND version = '3.0.14-1~deb12u2') OR (name = 'sudo' AND version = '1.9.13p3-1');
-- packages_in_order_of_version
SELECT version FROM deb_packages ORDER BY version COLLATE version_dpkg DESC LIMIT 5;
-- package_by_comparison
SELECT name FROM deb_packages WHERE name IN ('sudo', 'bash') AND version_compare(version, '>=', '1.0');
-- packages_of_unknown_maintainers
SELECT maintainer, count(*) AS packages FROM deb_packages GROUP BY maintainer ORDER BY packages DESC LIMIT 10;
-- servers_that_are_not_needed
SELECT name FROM deb_packages WHERE name IN ('telnetd', 'rsh-server', 'nis', 'tftpd', 'xinetd', 'vsftpd');
-- package_of_a_file
SELECT package FROM deb_package_files WHERE path = '/etc/crontab' AND package = 'cron';
-- files_of_a_package_that_are_gone
SELECT d.path FROM deb_package_files d LEFT JOIN file f ON f.path = d.path WHERE d.package = 'sudo' AND f.path IS NULL;
-- files_of_a_package_that_were_changed
SELECT c.path FROM deb_package_checksums c JOIN hash h ON h.path = c.path WHERE c.package = 'base-files' AND h.md5 <> c.md5;
-- checksums_of_a_package
SELECT count(*) AS files FROM deb_package_checksums WHERE package = 'bash';
-- packages_of_rpm
SELECT name, version, release, arch FROM rpm_packages WHERE vendor NOT LIKE 'Fedora%' AND vendor NOT LIKE 'Red Hat%';
-- packages_of_rpm_by_version
SELECT name, version FROM rpm_packages WHERE version || '-' || release < '3.0.7-1' COLLATE version_rhel AND name = 'openssl';
-- files_of_rpm_that_were_changed
SELECT r.path FROM rpm_package_files r JOIN hash h ON h.path = r.path WHERE r.package = 'sudo' AND h.sha256 <> r.sha256;
-- files_of_rpm_with_the_set_uid_bit
SELECT package, path, mode FROM rpm_package_files WHERE mode LIKE '4%';
-- packages_of_apk
SELECT name, version, size, datetime(build_time, 'unixepoch') AS built FROM apk_packages ORDER BY size DESC LIMIT 10;
-- packages_of_apk_by_origin
SELECT origin, count(*) AS packages FROM apk_packages GROUP BY origin;
-- packages_of_gentoo
SELECT package, version, slot FROM portage_packages WHERE world = 1;
-- flags_of_gentoo
SELECT p.package, u.use FROM portage_packages p JOIN portage_use u ON u.package = p.package WHERE u.use IN ('suid', 'debug');
-- keywords_of_gentoo
SELECT package, keyword FROM portage_keywords WHERE keyword LIKE '%~%' OR unmask = 1;
-- packages_of_arch
SELECT name, version, install_reason FROM pacman_packages WHERE validation NOT LIKE '%pgp%' ORDER BY version COLLATE version_arch;
-- snaps_that_are_not_confined
SELECT name, version, confinement, channel FROM snap_packages WHERE confinement IN ('classic', 'devmode');
-- applications_of_flatpak
SELECT app_id, version, installation, runtime FROM flatpak_packages WHERE type = 'app';
-- sources_of_packages_without_tls
SELECT name, base_uri FROM apt_sources WHERE base_uri LIKE 'http://%';
-- sources_of_packages_of_others
SELECT base_uri, release, components FROM apt_sources WHERE base_uri NOT LIKE '%debian.org%' AND base_uri NOT LIKE '%ubuntu.com%';
-- repositories_without_signatures
SELECT name, baseurl FROM yum_sources WHERE enabled <> '0' AND gpgcheck = '0';
-- repositories_that_are_on
SELECT name, coalesce(baseurl, mirrorlist, metalink) AS place FROM yum_sources WHERE enabled = '1';
-- packages_of_python
SELECT name, version, path FROM python_packages ORDER BY name LIMIT 20;
-- packages_of_python_that_pose
SELECT name, version FROM python_packages WHERE name IN ('requesocks', 'python3-dateutil', 'jeilyfish', 'colourama');
-- packages_of_node
SELECT name, version, license FROM npm_packages WHERE depth = 0;
-- packages_of_node_in_a_folder
SELECT name, version FROM npm_packages WHERE directory = '/usr/lib' AND max_depth = 1;
-- extensions_of_browsers_that_see_all
SELECT u.username, e.name, e.identifier FROM users u JOIN chrome_extensions e USING (uid) WHERE e.permissions LIKE '%<all_urls>%' OR e.permissions LIKE '%tabs%';
-- extensions_not_from_the_shop
SELECT uid, name, version, path FROM chrome_extensions WHERE from_webstore = 'false';
-- scripts_of_extensions_in_all_pages
SELECT e.identifier, s.script, s.match FROM chrome_extension_content_scripts s JOIN chrome_extensions e ON e.identifier = s.identifier AND e.uid = s.uid WHERE s.match IN ('<all_urls>', '*://*/*');
-- scripts_of_extensions_by_user
SELECT u.username, count(*) AS scripts FROM users u JOIN chrome_extension_content_scripts s USING (uid) GROUP BY u.username;
-- extensions_of_firefox
SELECT u.username, a.name, a.version, a.source_url FROM users u JOIN firefox_addons a USING (uid) WHERE a.active = 1;
-- extensions_of_editors
SELECT u.username, v.name, v.version, v.vscode_edition FROM users u JOIN vscode_extensions v USING (uid) ORDER BY v.name;
-- extensions_of_editors_without_a_publisher
SELECT name, path FROM vscode_extensions WHERE publisher_id = '' OR prerelease = 1;

-- === configuration ===

-- root_logs_in_over_ssh
SELECT value, source FROM sshd_effective_config WHERE keyword = 'permitrootlogin' AND value = 'yes';
-- passwords_over_ssh
SELECT keyword, value FROM sshd_effective_config WHERE keyword IN ('passwordauthentication', 'permitemptypasswords', 'kbdinteractiveauthentication');
-- weak_ciphers_over_ssh
SELECT value FROM sshd_effective_config WHERE keyword = 'ciphers' AND (value LIKE '%cbc%' OR value LIKE '%arcfour%');
-- settings_of_ssh_that_were_changed
SELECT keyword, value, source FROM sshd_effective_config WHERE source <> 'default';
-- settings_of_ssh_that_are_looser_for_some
SELECT criteria, value, source FROM sshd_match_config WHERE keyword IN ('permitrootlogin', 'passwordauthentication') AND value = 'yes';
-- kernel_settings_that_are_not_as_configured
SELECT c.name, c.value, s.current_value FROM sysctl_configured c JOIN system_controls s ON s.name = c.name WHERE s.current_value <> c.value;
-- kernel_settings_of_the_network
SELECT name, current_value FROM system_controls WHERE name IN ('net.ipv4.ip_forward', 'net.ipv4.conf.all.rp_filter', 'net.ipv6.conf.all.accept_ra');
-- kernel_settings_of_a_subsystem
SELECT name, current_value FROM system_controls WHERE subsystem = 'kernel' AND name LIKE 'kernel.randomize%';
-- where_kernel_settings_are_written
SELECT source, count(*) AS settings FROM sysctl_configured GROUP BY source;
-- kernel_settings_of_the_running_kernel_if_one_runs
SELECT s.name, s.current_value FROM running_kernel CROSS JOIN system_controls s WHERE s.name = 'kernel.dmesg_restrict';
-- release_of_the_running_kernel
SELECT release FROM running_kernel;
-- modules_that_are_forbidden_but_loaded
SELECT m.module, m.source FROM modprobe_configured m JOIN kernel_modules k ON k.name = m.module WHERE m.directive IN ('blacklist', 'install');
-- modules_that_are_forbidden
SELECT DISTINCT module FROM modprobe_configured WHERE directive = 'install' AND value IN ('/bin/false', '/bin/true');
-- mounts_that_differ_from_their_configuration
SELECT c.path, c.options, m.flags FROM mount_options_configured c LEFT JOIN mounts m ON m.path = c.path WHERE c.path LIKE '/%';
-- mounts_configured_without_nodev
SELECT path, options, source FROM mount_options_configured WHERE path IN ('/tmp', '/var/tmp', '/home', '/dev/shm') AND options NOT LIKE '%nodev%';
-- parameters_of_the_boot_loader
SELECT value FROM grub_config WHERE key = 'linux' AND (value LIKE '%selinux=0%' OR value LIKE '%audit=0%' OR value LIKE '%init=/bin/%');
-- password_of_the_boot_loader
SELECT path, line FROM grub_config WHERE key = 'set' AND value LIKE 'superusers%';
-- rules_of_the_audit
SELECT file, rule FROM audit_rules WHERE rule LIKE '%/etc/shadow%' OR rule LIKE '%-k identity%';
-- rules_of_the_audit_that_lock
SELECT file, line FROM audit_rules WHERE rule = '-e 2';
-- jobs_of_cron_that_fetch
SELECT command, path FROM crontab WHERE command LIKE '%curl%' OR command LIKE '%wget%' OR command LIKE '%base64%';
-- jobs_of_cron_every_minute
SELECT command, path FROM crontab WHERE minute = '*' AND hour = '*';
-- jobs_of_cron_at_boot
SELECT command, path FROM crontab WHERE event = '@reboot';
-- jobs_whose_program_others_may_write
SELECT c.command, f.mode FROM crontab c JOIN file f ON f.path = regex_match(c.command, '(/[^\s]+)', 1) WHERE (CAST(substr(f.mode, -1) AS INTEGER) & 2) <> 0;
-- units_from_odd_places
SELECT id, fragment_path FROM systemd_units WHERE fragment_path NOT LIKE '/usr/lib/%' AND fragment_path NOT LIKE '/lib/%' AND fragment_path LIKE '%.service';
-- units_that_failed
SELECT id, active_state, sub_state FROM systemd_units WHERE active_state = 'failed';
-- units_that_start_at_boot
SELECT id, description FROM systemd_units WHERE unit_file_state = 'enabled' AND id LIKE '%.service' ORDER BY id;
-- units_written_lately
SELECT u.id, datetime(f.mtime, 'unixepoch') AS changed FROM systemd_units u JOIN file f ON f.path = u.fragment_path JOIN time t WHERE f.mtime > t.unix_time - 7 * 86400;
-- timers_that_are_on
SELECT name, unit, schedule FROM systemd_timers WHERE state = 'enabled';
-- timers_with_what_they_start
SELECT t.name, u.description FROM systemd_timers t LEFT JOIN systemd_units u ON u.id = t.unit;
-- what_starts_with_a_session
SELECT name, path, args, username FROM startup_items WHERE type <> 'systemd unit' AND status = 'enabled';
-- what_starts_from_a_home
SELECT name, path FROM startup_items WHERE path LIKE '/home/%' OR source LIKE '/home/%';
-- profiles_of_apparmor_that_only_complain
SELECT name, mode FROM apparmor_profiles WHERE mode = 'complain';
-- profiles_of_apparmor_by_mode
SELECT mode, count(*) AS profiles FROM apparmor_profiles GROUP BY mode;
-- selinux_that_does_not_enforce
SELECT key, value FROM selinux_settings WHERE scope = 'root' AND key = 'enforce';
-- selinux_booleans
SELECT key, value FROM selinux_settings WHERE scope = 'booleans';
-- certificates_that_expire
SELECT c.path, c.common_name, datetime(c.not_valid_after, 'unixepoch') AS ends FROM certificates c JOIN time t WHERE c.not_valid_after < t.unix_time + 30 * 86400 LIMIT 20;
-- certificates_with_weak_signatures
SELECT common_name, signing_algorithm FROM certificates WHERE signing_algorithm IN ('md5WithRSAEncryption', 'sha1WithRSAEncryption') AND self_signed = 0;
-- certificates_with_short_keys
SELECT common_name, key_strength FROM certificates WHERE key_algorithm = 'rsaEncryption' AND CAST(key_strength AS INTEGER) < 2048;
-- certificates_of_one_folder
SELECT path, issuer, serial FROM certificates WHERE path LIKE '/etc/ssl/certs/%' AND ca = 1 LIMIT 5;

-- === network ===

-- addresses_of_interfaces
SELECT interface, address, mask FROM interface_addresses WHERE interface <> 'lo';
-- addresses_in_private_networks
SELECT interface, address FROM interface_addresses WHERE in_cidr_block('192.168.0.0/16', address) = 1 OR in_cidr_block('fe80::/10', address) = 1;
-- interfaces_that_listen_to_all
SELECT interface, mac FROM interface_details WHERE (flags & 256) > 0;
-- interfaces_that_lose_packets
SELECT interface, ierrors, oerrors, idrops FROM interface_details WHERE ierrors + oerrors + idrops > 0;
-- interfaces_with_their_addresses
SELECT d.interface, d.mac, group_concat(a.address, ', ') AS addresses FROM interface_details d LEFT JOIN interface_addresses a USING (interface) GROUP BY d.interface;
-- interfaces_that_take_routes
SELECT interface, redirect_accept, rtadv_accept FROM interface_ipv6 WHERE redirect_accept = 1 OR forwarding_enabled = 1;
-- interfaces_of_ipv6
SELECT interface, hop_limit FROM interface_ipv6 ORDER BY interface;
-- routes_out
SELECT gateway, interface, metric FROM routes WHERE destination = '0.0.0.0' AND netmask = 0;
-- routes_of_a_kind
SELECT destination, netmask, interface FROM routes WHERE type = 'gateway';
-- neighbours_that_share_an_address
SELECT mac, count(DISTINCT address) AS addresses FROM arp_cache GROUP BY mac HAVING addresses > 1;
-- neighbours_that_are_fixed
SELECT address, mac, interface FROM arp_cache WHERE permanent = 1;
-- name_servers
SELECT address, options FROM dns_resolvers WHERE type = 'nameserver';
-- name_servers_outside
SELECT address FROM dns_resolvers WHERE type = 'nameserver' AND in_cidr_block('10.0.0.0/8', address) = 0;
-- names_that_are_redirected
SELECT address, hostnames FROM etc_hosts WHERE address NOT IN ('127.0.0.1', '::1', '127.0.1.1', 'ff02::1', 'ff02::2') ORDER BY hostnames;
-- names_of_shops_and_updates_that_are_redirected
SELECT address, hostnames FROM etc_hosts WHERE hostnames LIKE '%debian.org%' OR hostnames LIKE '%ubuntu.com%' OR hostnames LIKE '%github.com%';
-- services_by_port
SELECT port, group_concat(name, ' ') AS names FROM etc_services WHERE port < 100 GROUP BY port ORDER BY port;
-- services_of_udp
SELECT name, port, comment FROM etc_services WHERE protocol = 'udp' AND name IN ('ntp', 'snmp', 'tftp');
-- protocols_by_number
SELECT number, name, alias FROM etc_protocols WHERE number IN (1, 6, 17, 58);
-- protocols_of_sockets
SELECT DISTINCT e.name FROM process_open_sockets s JOIN etc_protocols e ON e.number = s.protocol;

-- === machine and kernel ===

-- which_system
SELECT name, version, codename, platform, arch FROM os_version;
-- system_without_support
SELECT name, major FROM os_version WHERE platform = 'debian' AND CAST(major AS INTEGER) < 11;
-- which_machine
SELECT hostname, uuid, cpu_brand, cpu_logical_cores, physical_memory, hardware_vendor FROM system_info;
-- machine_that_is_virtual
SELECT hardware_vendor, hardware_model FROM system_info WHERE hardware_vendor IN ('QEMU', 'VMware, Inc.', 'Amazon EC2', 'Google', 'Microsoft Corporation');
-- which_kernel
SELECT version, arguments FROM kernel_info;
-- kernel_with_its_digest
SELECT k.version, h.sha256 FROM kernel_info k LEFT JOIN hash h ON h.path = k.path;
-- kernel_without_mitigations
SELECT arguments FROM kernel_info WHERE arguments LIKE '%mitigations=off%' OR arguments LIKE '%nokaslr%';
-- modules_in_the_kernel
SELECT name, size, used_by FROM kernel_modules ORDER BY name;
-- modules_that_are_seldom_needed
SELECT name FROM kernel_modules WHERE name IN ('dccp', 'sctp', 'rds', 'tipc', 'cramfs', 'usb_storage', 'bluetooth');
-- keys_in_the_kernel
SELECT type, count(*) AS keys FROM kernel_keys GROUP BY type;
-- keys_of_other_accounts
SELECT k.serial_number, u.username, k.description FROM kernel_keys k LEFT JOIN users u ON u.uid = k.uid WHERE k.uid <> 0;
-- time_since_the_start
SELECT days, hours, total_seconds FROM uptime;
-- kernel_older_than_its_package
SELECT u.total_seconds FROM uptime u WHERE u.days > 90;
-- clock
SELECT unix_time, iso_8601, timezone, weekday FROM time;
-- clock_in_another_zone
SELECT local_timezone FROM time WHERE local_timezone NOT IN ('UTC', 'GMT');
-- load_of_an_hour
SELECT period, CAST(average AS REAL) AS load FROM load_average ORDER BY period;
-- load_above_the_processors
SELECT l.period, l.average, s.cpu_logical_cores FROM load_average l JOIN system_info s WHERE CAST(l.average AS REAL) > s.cpu_logical_cores;
-- memory_in_use
SELECT round(100.0 * (memory_total - memory_available) / memory_total, 1) AS percent FROM memory_info;
-- swap_in_use
SELECT swap_total, swap_free FROM memory_info WHERE swap_total > 0 AND swap_free < swap_total / 2;
-- regions_of_memory
SELECT name, start, end FROM memory_map WHERE name LIKE '%RAM%';
-- shared_memory_that_all_may_write
SELECT shmid, owner_uid, permissions, size FROM shared_memory WHERE permissions LIKE '%6';
-- shared_memory_by_owner
SELECT u.username, count(*) AS segments, sum(s.size) AS bytes FROM shared_memory s LEFT JOIN users u ON u.uid = s.owner_uid GROUP BY s.owner_uid;
-- processors
SELECT model, number_of_cores, logical_processors FROM cpu_info;
-- processors_at_work
SELECT core, round(100.0 * idle / (user + nice + system + idle + iowait + irq + softirq + steal + 1), 1) AS idle_percent FROM cpu_time;
-- features_of_the_processor
SELECT feature, value FROM cpuid WHERE feature IN ('aes', 'hypervisor', 'smep', 'smap', 'vendor');
-- registers_of_the_processor
SELECT processor_number, turbo_disabled, feature_control FROM msr;
-- registers_that_leave_virtualisation_open
SELECT m.processor_number, c.model FROM msr m JOIN cpu_info c WHERE m.feature_control & 1 = 0;
-- firmware
SELECT vendor, version, date, firmware_type FROM platform_info;
-- firmware_that_is_old
SELECT vendor, substr(date, -4) AS year FROM platform_info WHERE CAST(substr(date, -4) AS INTEGER) < 2018;
-- secure_boot_that_is_off
SELECT secure_boot, setup_mode FROM secureboot WHERE secure_boot = 0 OR setup_mode = 1;
-- certificates_of_the_firmware
SELECT common_name, issuer, datetime(not_valid_after, 'unixepoch') AS ends, revoked FROM secureboot_certificates;
-- certificates_of_the_firmware_that_are_not_known
SELECT sha1, subject FROM secureboot_certificates WHERE revoked = 0 AND subject NOT LIKE '%Microsoft%' AND subject NOT LIKE '%Canonical%' AND subject NOT LIKE '%Debian%';
-- engine_of_intel
SELECT version FROM intel_me_info WHERE version < '11.8.93' COLLATE version;
-- tables_of_the_firmware
SELECT name, size, md5 FROM acpi_tables ORDER BY name;
-- table_of_the_firmware_that_carries_a_program
SELECT name FROM acpi_tables WHERE name LIKE 'WPBT%';
-- structures_of_the_firmware
SELECT type, description, count(*) AS structures FROM smbios_tables GROUP BY type ORDER BY type;
-- texts_of_the_maker
SELECT handle, number, value FROM oem_strings;
-- modules_of_memory
SELECT device_locator, manufacturer, part_number, size, max_speed FROM memory_devices WHERE size > 0;
-- modules_of_memory_by_group
SELECT a.handle, a.memory_error_correction, count(d.handle) AS modules, sum(d.size) AS mib FROM memory_arrays a LEFT JOIN memory_devices d ON d.array_handle = a.handle GROUP BY a.handle;
-- memory_without_correction
SELECT handle, max_capacity FROM memory_arrays WHERE memory_error_correction = 'None';
-- addresses_of_memory
SELECT m.starting_address, m.ending_address, a.location FROM memory_array_mapped_addresses m LEFT JOIN memory_arrays a ON a.handle = m.memory_array_handle;
-- addresses_of_memory_modules
SELECT m.starting_address, d.device_locator FROM memory_device_mapped_addresses m LEFT JOIN memory_devices d ON d.handle = m.memory_device_handle;
-- errors_of_memory
SELECT error_type, error_granularity, memory_array_error_address FROM memory_error_info WHERE error_type <> 'OK';
-- disks
SELECT name, size * 512 / 1000000000 AS gb, model, serial FROM block_devices WHERE parent = '';
-- partitions_of_disks
SELECT b.name, b.type, b.label, d.encrypted FROM block_devices b LEFT JOIN disk_encryption d ON d.name = b.name WHERE b.parent <> '';
-- disks_in_clear
SELECT name, type FROM disk_encryption WHERE encrypted = 0 AND name NOT LIKE '/dev/loop%';
-- encryption_of_a_disk
SELECT encryption_status FROM disk_encryption WHERE name = '/dev/sda1';
-- mounts_that_are_full
SELECT path, device, round(100.0 - 100.0 * blocks_available / blocks, 1) AS percent FROM mounts WHERE blocks > 0 AND blocks_available < blocks / 10;
-- mounts_without_nosuid
SELECT path, flags FROM mounts WHERE path IN ('/tmp', '/dev/shm', '/home') AND flags NOT LIKE '%nosuid%';
-- mounts_from_elsewhere
SELECT device, path, type FROM mounts WHERE type IN ('nfs', 'nfs4', 'cifs', 'fuse.sshfs');
-- arrays_that_lack_a_disk
SELECT device_name, raid_disks, working_disks, recovery_progress FROM md_devices WHERE failed_disks > 0 OR working_disks < raid_disks;
-- arrays_at_work
SELECT device_name, status, superblock_state, other FROM md_devices;
-- disks_of_arrays
SELECT md_device_name, drive_name, state FROM md_drives WHERE state NOT LIKE '%active sync%';
-- disks_of_arrays_with_their_maker
SELECT d.md_device_name, b.model FROM md_drives d LEFT JOIN block_devices b ON b.name = d.drive_name;
-- kinds_of_arrays
SELECT name FROM md_personalities ORDER BY name;
-- devices_on_the_bus
SELECT pci_slot, pci_class, vendor, model, driver FROM pci_devices;
-- devices_that_reach_memory
SELECT vendor, model FROM pci_devices WHERE pci_class LIKE '%Thunderbolt%' OR model LIKE '%FireWire%';
-- devices_that_can_be_unplugged
SELECT vendor, model, serial FROM usb_devices WHERE removable = 1;
-- devices_of_usb_by_class
SELECT class, count(*) AS devices FROM usb_devices GROUP BY class;
-- devices_that_came
SELECT action, model, serial FROM hardware_events WHERE action = 'add';
-- devices_of_storage_that_came
SELECT time, path FROM hardware_events WHERE driver = 'usb-storage' AND time > 0;

-- === containers and clouds ===

-- containers_with_all_rights
SELECT id, name, image FROM docker_containers WHERE privileged = 1;
-- containers_that_run_as_processes_of_the_host
SELECT c.name, p.name AS process, p.uid FROM docker_containers c JOIN processes p ON p.pid = c.pid;
-- container_by_a_short_id
SELECT name, state, security_options FROM docker_containers WHERE id = '0123456789ab';
-- containers_in_the_network_of_the_host
SELECT c.name FROM docker_containers c JOIN process_namespaces n ON n.pid = 1 WHERE c.net_namespace = n.net_namespace;
-- containers_with_secrets_in_their_variables
SELECT id, key FROM docker_container_envs WHERE key LIKE '%PASSWORD%' OR key LIKE '%SECRET%';
-- containers_without_an_owner
SELECT c.id, c.name FROM docker_containers c LEFT JOIN docker_container_labels l ON l.id = c.id AND l.key = 'owner' WHERE l.value IS NULL;
-- containers_that_see_the_host
SELECT id, source, destination, rw FROM docker_container_mounts WHERE source IN ('/', '/etc', '/var/run/docker.sock') OR source LIKE '/proc%';
-- addresses_of_containers
SELECT id, name, ip_address, gateway FROM docker_container_networks WHERE ip_address <> '';
-- ports_of_containers_that_anyone_reaches
SELECT id, port, host_port FROM docker_container_ports WHERE host_ip IN ('0.0.0.0', '::');
-- files_that_changed_in_a_container
SELECT path, change_type FROM docker_container_fs_changes WHERE id = '0123456789ab' AND path LIKE '/usr/bin/%';
-- files_that_changed_in_all_containers
SELECT c.name, f.path FROM docker_containers c JOIN docker_container_fs_changes f ON f.id = c.id WHERE f.change_type = 'A';
-- processes_of_a_container
SELECT pid, user, cmdline, cpu FROM docker_container_processes WHERE id = '0123456789ab';
-- processes_of_all_containers
SELECT c.name, p.cmdline FROM docker_containers c JOIN docker_container_processes p ON p.id = c.id WHERE p.euid = 0;
-- use_of_a_container
SELECT name, pids, memory_usage, memory_limit FROM docker_container_stats WHERE id = '0123456789ab';
-- images_by_size
SELECT tags, size_bytes, datetime(created, 'unixepoch') AS made FROM docker_images ORDER BY size_bytes DESC;
-- images_that_fetched_while_built
SELECT id, created_by FROM docker_image_history WHERE created_by LIKE '%curl%' OR created_by LIKE '%wget%';
-- images_of_whom
SELECT id, value FROM docker_image_labels WHERE key IN ('maintainer', 'org.opencontainers.image.source');
-- layers_that_images_share
SELECT layer_id, count(*) AS images FROM docker_image_layers GROUP BY layer_id HAVING images > 1;
-- networks_of_containers
SELECT name, driver, subnet, gateway FROM docker_networks WHERE driver = 'host' OR enable_ipv6 = 1;
-- networks_with_labels
SELECT n.name, l.key, l.value FROM docker_networks n JOIN docker_network_labels l ON l.id = n.id;
-- volumes_of_containers
SELECT name, driver, mount_point FROM docker_volumes WHERE driver <> 'local';
-- volumes_with_labels
SELECT name, key, value FROM docker_volume_labels WHERE key = 'com.docker.compose.project';
-- which_docker
SELECT version, api_version, os, arch FROM docker_version WHERE version < '24.0' COLLATE version;
-- setup_of_docker
SELECT storage_driver, logging_driver, cgroup_driver, containers_running FROM docker_info;
-- containers_of_pods_that_may_administer
SELECT pod_namespace, pod, name, capabilities FROM containerd_containers WHERE capabilities LIKE '%CAP_SYS_ADMIN%';
-- containers_of_pods_as_root
SELECT pod, name, image FROM containerd_containers WHERE uid = 0 AND no_new_privileges = 0 AND kind = 'container';
-- containers_of_pods_that_see_the_host
SELECT c.pod, c.name, m.source FROM containerd_containers c JOIN containerd_mounts m ON m.container_id = c.id WHERE m.type = 'bind' AND m.source IN ('/', '/etc', '/root', '/var/run/docker.sock', '/run/containerd/containerd.sock');
-- mounts_of_containers_that_may_be_written
SELECT container_id, source, destination FROM containerd_mounts WHERE readonly = 0 AND source LIKE '/etc/%';
-- images_of_pods_without_a_digest
SELECT namespace, name, datetime(created_at, 'unixepoch') AS made FROM containerd_images WHERE name NOT LIKE '%@sha256:%';
-- containers_whose_image_is_gone
SELECT c.pod, c.image FROM containerd_containers c LEFT JOIN containerd_images i ON i.name = c.image WHERE c.image IS NOT NULL AND i.name IS NULL;
-- clients_that_lxd_trusts
SELECT name, type, fingerprint FROM lxd_certificates;
-- cluster_of_lxd
SELECT server_name, enabled FROM lxd_cluster;
-- members_of_the_cluster_of_lxd
SELECT server_name, url, status FROM lxd_cluster_members WHERE status <> 'Online';
-- images_of_lxd
SELECT os, release, description, public FROM lxd_images WHERE public = 1;
-- instances_of_lxd
SELECT name, status, os, processes FROM lxd_instances;
-- instances_of_lxd_with_all_rights
SELECT i.name, c.value FROM lxd_instances i JOIN lxd_instance_config c ON c.name = i.name WHERE c.key = 'security.privileged' AND c.value = 'true';
-- settings_of_an_instance_of_lxd
SELECT key, value FROM lxd_instance_config WHERE name = 'web';
-- devices_of_an_instance_of_lxd
SELECT device, device_type, key, value FROM lxd_instance_devices WHERE name = 'web' AND key = 'source';
-- networks_of_lxd
SELECT name, ipv4_address, bytes_received FROM lxd_networks WHERE managed = 1;
-- storage_of_lxd_that_is_full
SELECT name, driver, space_used, space_total FROM lxd_storage_pools WHERE space_used > space_total * 0.9;
-- machine_in_amazon
SELECT instance_id, instance_type, region, iam_arn FROM ec2_instance_metadata;
-- tags_in_amazon
SELECT key, value FROM ec2_instance_tags WHERE key = 'Name';
-- machine_in_azure
SELECT vm_id, location, vm_size FROM azure_instance_metadata;
-- tags_in_azure
SELECT m.name, t.key, t.value FROM azure_instance_metadata m JOIN azure_instance_tags t ON t.vm_id = m.vm_id;
-- machine_in_yandex
SELECT instance_id, zone, serial_port_enabled FROM ycloud_instance_metadata WHERE serial_port_enabled = '1';
-- numbers_for_prometheus
SELECT metric_name, metric_value FROM prometheus_metrics WHERE metric_name LIKE 'node_%';
-- plugins_of_editors
SELECT u.username, j.product_type, j.name, j.version FROM users u JOIN jetbrains_plugins j USING (uid);

-- === packet filter ===

-- chains_that_let_everything_in
SELECT filter_name, chain, policy FROM iptables WHERE chain = 'INPUT' AND policy = 'ACCEPT';
-- rules_that_open_a_port
SELECT chain, src_ip, src_mask, dst_port FROM iptables WHERE target = 'ACCEPT' AND dst_port <> '' AND src_ip = '0.0.0.0';
-- rules_that_carried_nothing
SELECT chain, target, match FROM iptables WHERE packets = 0 AND target <> '';
-- rules_of_the_packet_filter
SELECT family, table_name, chain, conditions, target FROM nftables_rules WHERE hook = 'input' ORDER BY priority, handle;
-- chains_of_the_configuration_that_accept_everything
SELECT file, line, table_name, chain FROM nftables_configured WHERE statement IN ('accept', 'counter accept', 'policy accept');
-- filters_without_a_policy_that_drops
SELECT table_name, chain FROM nftables_rules WHERE hook IN ('input', 'forward') AND policy <> 'DROP' GROUP BY table_name, chain;

-- === endpoints ===

-- listeners_that_take_old_tls
SELECT l.port, t.protocol, t.cipher FROM listening_ports l JOIN tls_endpoints t ON t.host = '127.0.0.1' AND t.port = l.port WHERE l.port = 443 AND t.protocol IN ('SSLv3', 'TLSv1', 'TLSv1.1');
-- endpoints_with_weak_ciphers
SELECT host, protocol, weak_cipher FROM tls_endpoints WHERE host = '127.0.0.1' AND port = 8443 AND weak_cipher IS NOT NULL;
-- endpoints_whose_certificate_ends_soon
SELECT e.host, e.common_name, e.not_valid_after FROM tls_endpoints e JOIN time t WHERE e.host = '127.0.0.1' AND e.port = 443 AND e.not_valid_after < t.unix_time + 30 * 86400;
-- algorithms_that_ssh_should_not_offer
SELECT host, software, macs FROM ssh_endpoints WHERE host = '127.0.0.1' AND port = 22 AND (macs LIKE '%hmac-md5%' OR ciphers LIKE '%-cbc%' OR kex_algorithms LIKE '%group1-sha1%');
-- remote_desktops_without_nla
SELECT host, protocol FROM rdp_endpoints WHERE host = '127.0.0.1' AND port = 3389 AND requires_nla = 0;

-- === an image of Windows ===

-- programs_of_windows
SELECT name, version, publisher, install_date FROM programs ORDER BY name;
-- programs_of_windows_that_administer_from_afar
SELECT name, install_location FROM programs WHERE regex_match(lower(name), '(anydesk|teamviewer|vnc|screenconnect|ngrok)', 0) IS NOT NULL;
-- what_windows_starts
SELECT key, name, data FROM registry WHERE key LIKE 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Run%';
-- debuggers_in_place_of_programs
SELECT path, data FROM registry WHERE key LIKE 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Image File Execution Options\%' AND name = 'Debugger';
-- what_windows_starts_by_itself
SELECT name, path, source FROM autoexec WHERE path LIKE '%\AppData\%' OR path LIKE '%\Temp\%';
-- services_of_windows_from_odd_places
SELECT name, path, user_account FROM services WHERE start_type = 'AUTO_START' AND path NOT LIKE '%\Windows\%';
-- services_of_windows_without_quotes
SELECT name, path FROM services WHERE path LIKE '% %' AND path NOT LIKE '"%' AND path LIKE '%Program Files%';
-- drivers_of_windows
SELECT service, image FROM drivers WHERE image NOT LIKE '%\drivers\%';
-- tasks_of_windows_that_are_hidden
SELECT name, action, path FROM scheduled_tasks WHERE enabled = 1 AND hidden = 1;
-- tasks_of_windows_with_encoded_commands
SELECT name, action FROM scheduled_tasks WHERE lower(action) LIKE '%powershell%-enc%';
-- programs_that_ran_on_windows
SELECT path, datetime(modified_time, 'unixepoch') AS changed FROM shimcache WHERE path LIKE '%\Temp\%' ORDER BY entry;
-- programs_that_accounts_of_windows_started
SELECT path, count, sid FROM userassist ORDER BY last_execution_time DESC LIMIT 20;
-- programs_in_the_background_of_windows
SELECT path, sid FROM background_activities_moderator ORDER BY last_execution_time DESC LIMIT 20;
-- fixes_of_windows_that_load_code
SELECT executable, path FROM appcompat_shims WHERE path LIKE '%\Custom\%';
-- boot_of_windows_without_signatures
SELECT object_name, name, value FROM bcd WHERE name IN ('TestSigning', 'NoIntegrityChecks', 'DebuggerEnabled') AND value = '1';
-- variables_of_windows
SELECT variable, value FROM default_environment WHERE lower(variable) = 'path';
-- updates_of_windows
SELECT hotfix_id, installed_on FROM patches ORDER BY hotfix_id;
-- shares_of_windows
SELECT name, path FROM shared_resources WHERE name NOT LIKE '%$';
-- rules_of_the_firewall_of_windows
SELECT name, app_name, local_ports FROM windows_firewall_rules WHERE enabled = 1 AND direction = 'In' AND action = 'Allow';

-- === integrity ===

-- files_that_differ_from_the_baseline
SELECT path, change, fields FROM file_integrity WHERE paths = '["/etc"]';

-- === this program, in osquery's shape ===

-- which_program
SELECT version, build_platform, pid FROM osquery_info;
-- cost_of_this_program
SELECT i.version, p.resident_size, p.user_time FROM osquery_info i JOIN processes p ON p.pid = i.pid;
-- events_that_are_recorded
SELECT name, publisher, events FROM osquery_events WHERE active = 1;
-- queries_that_cost_too_much
SELECT name, interval, user_time / executions AS average FROM osquery_schedule WHERE executions > 0 AND denylisted = 0;
-- packs_in_use
SELECT name, version, active FROM osquery_packs WHERE active = 1;
-- flags_that_were_changed
SELECT name, value FROM osquery_flags WHERE default_value <> value;
-- extensions_in_use
SELECT name, version, type FROM osquery_extensions WHERE type = 'extension';
-- tables_that_can_be_asked
SELECT count(*) AS tables FROM osquery_registry WHERE registry = 'table' AND active = 1;
-- tables_about_processes
SELECT name FROM osquery_registry WHERE registry = 'table' AND name LIKE 'process%' ORDER BY name;

-- === the dialect ===

-- text_of_json
SELECT json_extract('{"a": {"b": [1, 2]}}', '$.a.b[1]') AS value, username FROM users WHERE uid = 0;
-- lists_of_json
SELECT key, value FROM json_each('["ssh", "sudo"]') JOIN users ON users.uid = 0;
-- json_of_rows
SELECT json_group_array(json_object('name', username, 'uid', uid)) AS accounts FROM users WHERE uid < 10;
-- dates
SELECT date(unix_time, 'unixepoch', '-1 day') AS yesterday, strftime('%Y', unix_time, 'unixepoch') AS year FROM time;
-- windows
SELECT username, row_number() OVER (ORDER BY uid) AS rank FROM users WHERE uid < 100;
-- recursion
WITH RECURSIVE line(pid, parent, depth) AS (SELECT pid, parent, 0 FROM processes WHERE pid = 1 UNION ALL SELECT p.pid, p.parent, depth + 1 FROM processes p JOIN line ON p.parent = line.pid WHERE depth < 5) SELECT depth, count(*) AS processes FROM line GROUP BY depth;
-- sets
SELECT username FROM users WHERE uid < 1000 EXCEPT SELECT username FROM users WHERE shell LIKE '%nologin';
-- conditions_from_another_table
SELECT path, mode FROM file WHERE path IN (SELECT directory FROM users WHERE uid = 0);
-- conditions_by_expression
SELECT f.path FROM users u JOIN file f ON f.directory = u.directory || '/.ssh' WHERE u.uid = 0;
-- conditions_in_exists
SELECT username FROM users u WHERE EXISTS (SELECT 1 FROM file WHERE file.path = u.directory AND file.type = 'directory');
-- parts_of_text
SELECT split('a,b;c', ',;', 2) AS third, regex_split('a1b2c', '[0-9]', 1) AS second, concat_ws('/', username, shell) AS both FROM users WHERE uid = 0;
-- digests_of_text
SELECT md5(username) AS md5, sha1(username) AS sha1, sha256(username) AS sha256, to_base64(username) AS base64 FROM users WHERE uid = 0;
-- mathematics
SELECT sqrt(16), power(2, 10), ceil(1.2), floor(1.8), round(pi(), 3), log10(1000), degrees(radians(90)) FROM users WHERE uid = 0;
-- versions_in_order
SELECT value FROM json_each('["1.10", "1.9", "1.2"]') JOIN users ON users.uid = 0 ORDER BY value COLLATE version;

-- === kubernetes ===

-- cluster_that_is_asked
SELECT name, server, version, minor FROM kubernetes_cluster;
-- roles_of_the_cluster_with_a_star
SELECT r.name, x.value AS rule FROM kubernetes_cluster_role r, json_each(r.rules) x WHERE json_extract(x.value, '$.verbs') LIKE '%"*"%';
-- administrators_of_the_cluster
SELECT b.name, s.value AS subject FROM kubernetes_cluster_role_binding b, json_each(b.subjects) s WHERE b.role_name = 'cluster-admin';
-- configuration_that_holds_a_key
SELECT namespace, name FROM kubernetes_config_map WHERE data LIKE '%PRIVATE KEY%';
-- jobs_by_the_clock_that_fetch
SELECT namespace, name, schedule FROM kubernetes_cronjob WHERE job_template LIKE '%curl%';
-- kinds_that_the_cluster_was_taught
SELECT name, json_extract(spec, '$.group') AS api_group FROM kubernetes_custom_resource_definition ORDER BY name;
-- daemons_on_nodes_that_are_missing
SELECT namespace, name, desired_number_scheduled, number_ready FROM kubernetes_daemonset WHERE number_ready < desired_number_scheduled;
-- deployments_without_pods
SELECT namespace, name, selector_query FROM kubernetes_deployment WHERE coalesce(ready_replicas, 0) = 0;
-- addresses_behind_a_service
SELECT namespace, name, subsets FROM kubernetes_endpoint WHERE namespace = 'default' AND name = 'kubernetes';
-- slices_of_addresses
SELECT namespace, count(*) AS slices FROM kubernetes_endpoint_slice GROUP BY namespace;
-- warnings_of_the_last_hour
SELECT namespace, reason, message, datetime(last_timestamp, 'unixepoch') AS at FROM kubernetes_event WHERE type = 'Warning' ORDER BY last_timestamp DESC LIMIT 20;
-- scaling_that_has_reached_its_end
SELECT namespace, name FROM kubernetes_horizontal_pod_autoscaler WHERE current_replicas >= max_replicas;
-- ingresses_without_tls
SELECT namespace, name, rules FROM kubernetes_ingress WHERE tls IS NULL;
-- jobs_that_failed
SELECT namespace, name, failed FROM kubernetes_job WHERE failed > 0;
-- limits_of_namespaces
SELECT namespace, spec_limits FROM kubernetes_limit_range;
-- webhooks_that_change_objects
SELECT w.name, json_extract(h.value, '$.clientConfig.url') AS url FROM kubernetes_mutating_webhook_configuration w, json_each(w.webhooks) h;
-- namespaces_that_admit_privileged_pods
SELECT name, labels FROM kubernetes_namespace WHERE coalesce(json_extract(labels, '$."pod-security.kubernetes.io/enforce"'), 'privileged') = 'privileged';
-- namespaces_without_a_network_policy
SELECT n.name FROM kubernetes_namespace n LEFT JOIN kubernetes_network_policy p ON p.namespace = n.name WHERE p.name IS NULL;
-- nodes_with_old_kernels
SELECT name, json_extract(node_info, '$.kernelVersion') AS kernel FROM kubernetes_node WHERE version_compare(json_extract(node_info, '$.kernelVersion'), '5.10') < 0;
-- volumes_on_folders_of_nodes
SELECT name, persistent_volume_source FROM kubernetes_persistent_volume WHERE persistent_volume_source LIKE '%hostPath%';
-- claims_that_wait
SELECT namespace, name, storage_class FROM kubernetes_persistent_volume_claim WHERE phase = 'Pending';
-- privileged_containers
SELECT p.namespace, p.name, json_extract(c.value, '$.name') AS container FROM kubernetes_pod p, json_each(p.containers) c WHERE json_extract(c.value, '$.securityContext.privileged') = 1;
-- pods_of_one_namespace
SELECT name, phase, node_name FROM kubernetes_pod WHERE namespace = 'kube-system';
-- budgets_that_forbid_every_eviction
SELECT namespace, name FROM kubernetes_pod_disruption_budget WHERE max_unavailable = '0' OR max_unavailable = '0%';
-- templates_that_stand_alone
SELECT namespace, name FROM kubernetes_pod_template;
-- sets_of_pods_that_nothing_owns
SELECT namespace, name FROM kubernetes_replicaset WHERE owner_references IS NULL;
-- controllers_of_old_times
SELECT namespace, name, replicas FROM kubernetes_replication_controller;
-- quotas_that_are_nearly_used
SELECT namespace, name, status_hard, status_used FROM kubernetes_resource_quota;
-- roles_that_read_secrets
SELECT r.namespace, r.name FROM kubernetes_role r, json_each(r.rules) x WHERE json_extract(x.value, '$.resources') LIKE '%secrets%';
-- bindings_to_roles_that_are_gone
SELECT b.namespace, b.name, b.role_name FROM kubernetes_role_binding b LEFT JOIN kubernetes_role r ON r.namespace = b.namespace AND r.name = b.role_name WHERE b.role_kind = 'Role' AND r.name IS NULL;
-- secrets_by_their_keys
SELECT s.namespace, s.name, k.key FROM kubernetes_secret s, json_each(s.data) k WHERE s.type = 'Opaque';
-- services_that_are_offered_outside
SELECT namespace, name, type, ports FROM kubernetes_service WHERE type IN ('NodePort', 'LoadBalancer');
-- accounts_that_hand_out_tokens
SELECT namespace, name FROM kubernetes_service_account WHERE coalesce(automount_service_account_token, 1) = 1;
-- sets_of_pods_with_storage
SELECT namespace, name, service_name, replicas FROM kubernetes_stateful_set;
-- kinds_of_storage
SELECT name, provisioner, reclaim_policy FROM kubernetes_storage_class;
-- policies_that_refuse
SELECT name, policy_name FROM kubernetes_validating_admission_policy_binding WHERE validation_actions LIKE '%Deny%';
-- webhooks_that_fail_open
SELECT w.name, json_extract(h.value, '$.name') AS hook FROM kubernetes_validating_webhook_configuration w, json_each(w.webhooks) h WHERE json_extract(h.value, '$.failurePolicy') = 'Ignore';

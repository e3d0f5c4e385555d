package policies.secrets.no_literal_credentials_test

import data.policies.secrets.no_literal_credentials

_config(text) := {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"web.conf": text}}

_pod(container) := {"kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [object.union({"name": "web"}, container)]}}

_results(manifest) := results if {
	results := no_literal_credentials.deny with input as manifest
}

_paths(manifest) := {result.path | some result in _results(manifest)}

_allowed_text(text) if _paths(_config(text)) == set()

_denied_text(text) if _paths(_config(text)) == {["data", "web.conf"]}

_long := "0123456789abcdefghijABCDEFGHIJ./0123456789abcdefghijABCDEFGHIJ./"

test_unmistakable_forms_are_denied if {
	every text in [
		concat("", ["-----BEGIN ", "PRIVATE KEY-----"]),
		concat("", ["-----BEGIN RSA ", "PRIVATE KEY-----"]),
		concat("", ["AGE-SECRET-", "KEY-1", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]),
		concat("", ["alice:$6$", "saltsalt$", _long, ":10001"]),
		concat("", ["alice:$6$rounds=5000$", "salt$", _long]),
		concat("", ["alice:$2y$10$", _long]),
		concat("", ["alice:$apr1$salt$", substring(_long, 0, 22)]),
		concat("", ["userPassword {SSHA}", substring(_long, 0, 28)]),
		concat("", ["aws AKIA", "ABCDEFGHIJKLMNOP"]),
		concat("", ["ghp_", "0123456789abcdefghijABCDEFGHIJ012345"]),
		concat("", ["proxy_set_header X \"Bearer ", "0123456789abcdefghijABCD\";"]),
		concat("", ["proxy_set_header Authorization \"Basic ", "YWRtaW46aHVudGVyMg==\";"]),
		"url: https://admin:hunter2@db.example.com/",
		"redis://:hunter2@cache:6379",
		"servers = [\"telegraf:hunter2@tcp(mysql:3306)/\"]",
		"CREATE USER web IDENTIFIED BY 'hunter2';",
		"CREATE USER web WITH PASSWORD 'hunter2'",
		"SET PASSWORD FOR web = 'hunter2'",
		"exec mysqladmin -u root -phunter2 ping",
	] {
		_denied_text(text)
	}
}

test_literal_settings_are_denied if {
	every text in [
		"[client]\npassword=hunter2\n",
		"password = \"hunter2\"",
		"export MYSQL_PASSWORD=hunter2",
		"mysql --password=hunter2",
		"database:\n  password: hunter2\n",
		"- token: hunter2",
		"{\"user\":\"a\",\"password\":\"hunter2\"}",
		"admin_password = hunter2",
		"secret_key: 'hunter2'",
		"'user_pass' => 'hunter2',",
		"$cfg['blowfish_secret'] = 'hunter2';",
		"$password = 'hunter2';",
		"define('DB_PASSWORD', 'hunter2');",
		"define( \"AUTH_SALT\", \"hunter2\" );",
	] {
		_denied_text(text)
	}
}

test_references_are_allowed if {
	every text in [
		"secret_key = $__file{/etc/grafana-admin/secret-key}",
		"password = \"@{mysql:password}\"",
		"servers = [\"@{mysql:username}:@{mysql:password}@tcp(mysql:3306)/?tls=false\"]",
		"password: ${DB_PASSWORD}",
		"url: https://${USER}:${PASSWORD}@db/",
		"password=$(cat /etc/db/password)",
		"password=$1",
		"password = /etc/db/password",
		"password=",
		"password = \"\"\nnext = value",
		"AllowNoPassword = false",
		"token: null",
		"secret: |",
		"password: {random: 32}",
		"define('DB_PASSWORD', rtrim(file_get_contents('/etc/db/password')));",
		"$cfg['blowfish_secret'] = file_get_contents('/etc/cookie/secret');",
		"'user_pass' => $password,",
		"if [ \"$token\" = old ]; then",
		"ALTER USER 'web'@'%' IDENTIFIED BY '$(cat /run/password)';",
		"CREATE USER web IDENTIFIED BY '%s'",
		"CREATE USER reader WITH PASSWORD '$password'",
	] {
		_allowed_text(text)
	}
}

test_prose_and_other_settings_are_allowed if {
	every text in [
		"# password: what people type",
		"server_tokens off;\nssl_certificate_key /etc/tls/tls.key;",
		"return 301 https://$host:5050/;",
		"proxy_pass https://$phpmyadmin:5000;\nmail to web@example.com",
		"default_password_lifetime=0",
		"echo 'waiting for the secret'",
		"token_rotation_interval_minutes = 10",
	] {
		_allowed_text(text)
	}
}

test_no_finding_repeats_the_credential if {
	some result in _results(_config("password = hunter2"))
	not contains(json.marshal(result), "hunter2")
}

test_variables if {
	every name in ["DB_PASSWORD", "PASSWORD", "GF_SECURITY_SECRET_KEY", "API_TOKEN", "DB_PASS", "AWS_ACCESS_KEY_ID", "password"] {
		_paths(_pod({"env": [{"name": name, "value": "hunter2"}]})) == {["spec", "containers", 0, "env", 0, "value"]}
		_paths(_pod({"env": [{"name": name, "value": ""}]})) == set()
		_paths(_pod({"env": [{"name": name, "value": "$(OTHER)"}]})) == set()
		_paths(_pod({"env": [{"name": name, "value": "/etc/db/password"}]})) == set()
		_paths(_pod({"env": [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]})) == set()
	}
	every name in ["PASSWORD_FILE", "SECRET_NAME", "TOKEN_TTL", "KEYBOARD", "COMPASS", "PASSIVE_ADDRESS", "TOKEN_URL"] {
		_paths(_pod({"env": [{"name": name, "value": "hunter2"}]})) == set()
	}
}

test_arguments if {
	_paths(_pod({"args": ["--user", "web", "--password=hunter2"]})) == {["spec", "containers", 0, "args", 2]}
	_paths(_pod({"command": ["web", "--db-password", "hunter2"]})) == {["spec", "containers", 0, "command", 2]}
	_paths(_pod({"args": ["--token", "hunter2"]})) == {["spec", "containers", 0, "args", 1]}
	_paths(_pod({"args": ["--password-file", "secrets.txt"]})) == set()
	_paths(_pod({"args": ["--password", "$(PASSWORD)", "--token", "--verbose"]})) == set()
	_paths(_pod({"args": ["--password=/etc/db/password"]})) == set()
	_paths(_pod({"command": ["sh", "-c", "mysql -uroot -phunter2 -e 'SELECT 1'"]})) == {["spec", "containers", 0, "command", 2]}
}

test_any_object_may_hold_one if {
	_paths({"kind": "GitRepository", "metadata": {"name": "web"}, "spec": {"url": "https://bot:hunter2@git.example.com/a"}}) == {["spec", "url"]}
	_paths({"kind": "Service", "metadata": {"name": "web", "annotations": {"note": "postgres://a:hunter2@db/web"}}}) == {["metadata", "annotations", "note"]}
}

test_secrets_are_another_policys if {
	_paths({"kind": "Secret", "metadata": {"name": "web"}, "stringData": {"url": "https://bot:hunter2@git.example.com/a"}}) == set()
}

test_binary_and_empty_config_maps_are_allowed if {
	_paths({"kind": "ConfigMap", "metadata": {"name": "web"}}) == set()
	_paths({"kind": "ConfigMap", "metadata": {"name": "web"}, "binaryData": {"a": "AAECAwQFBgcICQ=="}}) == set()
}

package policies.secrets.no_secret_data_test

import data.policies.secrets.no_secret_data

_encrypted := "ENC[AES256_GCM,data:Zm9v,iv:YmFy,tag:YmF6,type:str]"

_sops := {"mac": _encrypted, "version": "3.9.0"}

_secret(fields) := object.union({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}}, fields)

_paths(manifest) := paths if {
	paths := {result.path | some result in no_secret_data.deny} with input as manifest
}

test_no_content_is_allowed if {
	_paths(_secret({})) == set()
	_paths(_secret({"type": "Opaque", "data": {}})) == set()
	_paths(_secret({"data": null})) == set()
}

test_content_is_denied if {
	_paths(_secret({"data": {"password": "Zm9v"}})) == {["data", "password"]}
	_paths(_secret({"stringData": {"password": "foo", "empty": ""}})) == {["stringData", "password"], ["stringData", "empty"]}
}

test_encrypted_content_is_allowed if {
	_paths(_secret({"sops": _sops, "data": {"password": _encrypted}})) == set()
	_paths(_secret({"sops": _sops, "stringData": {"password": _encrypted}})) == set()
}

test_every_value_must_be_encrypted if {
	_paths(_secret({"sops": _sops, "stringData": {"user": "db", "password": _encrypted}})) == {["stringData", "user"]}
}

test_without_sops_nothing_is_encrypted if {
	_paths(_secret({"stringData": {"password": _encrypted}})) == {["stringData", "password"]}
	_paths(_secret({"sops": {}, "stringData": {"password": _encrypted}})) == {["stringData", "password"]}
}

test_other_kinds_are_free if {
	_paths({"kind": "ConfigMap", "metadata": {"name": "db"}, "data": {"a": "b"}}) == set()
	_paths({"kind": "SealedSecret", "metadata": {"name": "db"}, "spec": {"encryptedData": {"password": "AgB"}}}) == set()
}

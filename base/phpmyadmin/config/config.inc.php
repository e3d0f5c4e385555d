<?php
// Encrypts the password in the browser's cookie; exactly 32 bytes.
$cfg['blowfish_secret'] = file_get_contents('/etc/phpmyadmin-cookie/secret');

// People log in with an account of the database. phpMyAdmin has none of its own.
$cfg['Servers'][1] = [
    'host' => 'mysql',
    'port' => '3306',
    'auth_type' => 'cookie',
    'AllowNoPassword' => false,
];

// The pod may talk to MySQL and to nobody else.
$cfg['VersionCheck'] = false;
$cfg['SendErrorReports'] = 'never';
// phpMyAdmin's own tables (bookmarks, history) are not wanted.
$cfg['PmaNoRelation_DisableWarning'] = true;

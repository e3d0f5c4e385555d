<?php
// Debian's wp-config.php loads this file at every request, so a rotated password of the database
// counts at once.
define('DB_NAME', 'wordpress');
define('DB_USER', rtrim(file_get_contents('/etc/wordpress-database/username'), "\n"));
define('DB_PASSWORD', rtrim(file_get_contents('/etc/wordpress-database/password'), "\n"));
define('DB_HOST', 'mysql:3306');
define('DB_CHARSET', 'utf8mb4');

// Eight independent keys out of one secret.
$salt = file_get_contents('/etc/wordpress-salt/salt');
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $name) {
    define("{$name}_KEY", hash_hmac('sha256', "{$name}_KEY", $salt));
    define("{$name}_SALT", hash_hmac('sha256', "{$name}_SALT", $salt));
}
unset($salt, $name);

// No address is configured: the site is where it was asked for. nginx passes no host it has not checked.
define('WP_HOME', 'https://' . $_SERVER['HTTP_HOST']);
define('WP_SITEURL', WP_HOME);
define('FORCE_SSL_ADMIN', true);

// The code is the image's: nobody edits, adds or updates any of it from the browser.
define('DISALLOW_FILE_MODS', true);
define('WP_ALLOW_MULTISITE', false);
// Cron would be a request of WordPress to itself, through the load balancer.
define('DISABLE_WP_CRON', true);

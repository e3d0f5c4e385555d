<?php
// Installs WordPress, or brings an installed one up to date: tables, options, accounts. It runs before
// every start and may be killed at any moment: all that follows the tables is one transaction.

const PATIENCE = 600; // seconds; MySQL may still be loading its image
const ACCOUNTS = [
    'olivia' => 'administrator',
    'edgar' => 'editor',
    'anna' => 'author',
    'sam' => 'subscriber',
];

function say(string $message): void
{
    fwrite(STDOUT, "install: $message\n");
}

// DB_* come from the configuration that WordPress itself reads.
function wait_for_database(): void
{
    mysqli_report(MYSQLI_REPORT_OFF);
    [$host, $port] = explode(':', DB_HOST);
    for ($waited = 0; ; $waited += 2) {
        $database = mysqli_init();
        $database->options(MYSQLI_OPT_CONNECT_TIMEOUT, 5);
        if (@$database->real_connect($host, DB_USER, DB_PASSWORD, DB_NAME, (int) $port)) {
            $database->close();
            say("MySQL let us in after $waited s");
            return;
        }
        if ($waited >= PATIENCE) {
            throw new RuntimeException("MySQL did not let us in for $waited s: " . mysqli_connect_error());
        }
        if ($waited % 10 === 0) {
            say("waiting for MySQL ($waited s of " . PATIENCE . '): ' . mysqli_connect_error());
        }
        sleep(2);
    }
}

// Sets the password of the Secret once, and again when the Secret has changed: who has changed a
// password in WordPress since keeps it.
function set_up_account(string $login, string $role): void
{
    // WordPress hashes what a form sends, and that is slashed.
    $password = wp_slash(rtrim(file_get_contents("/etc/wordpress-users/$login"), "\n"));
    $user = get_user_by('login', $login);
    if ($user) {
        $applied = get_user_meta($user->ID, 'secret_applied', true);
        if ($applied && wp_check_password($password, $applied)) {
            return;
        }
        wp_set_password($password, $user->ID);
        $user->set_role($role);
        $id = $user->ID;
    } else {
        $id = wp_insert_user([
            'user_login' => $login,
            'user_pass' => $password,
            'user_email' => "$login@example.invalid",
            'display_name' => ucfirst($login),
            'role' => $role,
        ]);
        if (is_wp_error($id)) {
            throw new RuntimeException($id->get_error_message());
        }
    }
    update_user_meta($id, 'secret_applied', wp_hash_password($password));
    say("account $login ($role) set from the Secret");
}

function install(): void
{
    global $wpdb, $wp_rewrite;

    wp_install('ft_services', array_key_first(ACCOUNTS), 'olivia@example.invalid', true, '', wp_generate_password(32));
    $options = [
        // Only who has an account comments, and need not wait for approval.
        'comment_registration' => 1,
        'comment_previously_approved' => 0,
        'default_ping_status' => 'closed',
        'default_pingback_flag' => 0,
        'show_avatars' => 0,
    ];
    foreach ($options as $name => $value) {
        update_option($name, $value);
    }
    // WordPress asks itself over http whether pretty links work, and is not let out to do so.
    $wp_rewrite->set_permalink_structure('/%year%/%monthnum%/%postname%/');
    flush_rewrite_rules(false);
    // The first page and profile hold the address of the moment; make it that of the reader.
    $wpdb->query($wpdb->prepare("UPDATE $wpdb->posts SET post_content = REPLACE(post_content, %s, '/')", WP_HOME . '/'));
    $wpdb->update($wpdb->users, ['user_url' => ''], ['user_url' => WP_HOME]);
    say('installed');
}

// WordPress dies with exit code 0; whatever ends this script early is a failure.
$done = false;
register_shutdown_function(static function () use (&$done): void {
    if (!$done) {
        say('failed; nothing of this attempt is kept');
        exit(1);
    }
});

$_SERVER += [
    'HTTP_HOST' => 'wordpress:5050',
    'HTTPS' => 'on',
    'REQUEST_METHOD' => 'GET',
    'REQUEST_URI' => '/',
    'SERVER_PROTOCOL' => 'HTTP/1.1',
    'WORDPRESS_CONFIG' => 'default',
];
require_once '/etc/wordpress/config-default.php';
wait_for_database();

define('WP_INSTALLING', true);
// Without it WordPress gives up on tables that are there and empty, which is our half-done state.
define('WP_REPAIRING', true);
require_once '/usr/share/wordpress/wp-includes/plugin.php';
add_action('muplugins_loaded', static function (): void {
    global $wpdb;
    // Before the first installation every query of WordPress's own start fails.
    $wpdb->suppress_errors();
    // A new connection would silently leave the transaction.
    $wpdb->reconnect_retries = 0;
});
require '/usr/share/wordpress/wp-load.php';
$installed = (bool) $wpdb->get_var("SELECT option_value FROM $wpdb->options WHERE option_name = 'siteurl'");
if ($wpdb->get_var("SELECT ID FROM $wpdb->posts LIMIT 1")) {
    // WordPress's own would add its sample content a second time.
    function wp_install_defaults(): void
    {
    }
}
require ABSPATH . 'wp-admin/includes/upgrade.php';

if ($installed) {
    wp_upgrade();
}
make_db_current_silent();

$EZSQL_ERROR = [];
$wpdb->query('START TRANSACTION');
if (!$installed) {
    install();
}
foreach (ACCOUNTS as $login => $role) {
    set_up_account($login, $role);
}
if ($EZSQL_ERROR) {
    throw new RuntimeException(implode('; ', array_column($EZSQL_ERROR, 'error_str')));
}
if ($wpdb->query('COMMIT') === false) {
    throw new RuntimeException('MySQL did not commit');
}
$done = true;
say('done');

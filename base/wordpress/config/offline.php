<?php
// Plugin Name: Offline
// Description: The pod may talk to MySQL and to nobody else, so WordPress is told at once instead of waiting for time-outs on the pages of its administration.

add_filter('pre_http_request', static fn () => new WP_Error('offline', 'This site makes no requests.'));
add_filter('pre_wp_mail', '__return_false');
foreach (['core', 'plugins', 'themes'] as $what) {
    remove_action('admin_init', "_maybe_update_$what");
}

#!/bin/sh
# Asks the index of the database, as an account: /ping answers without looking at either.
set -eu

# The client takes a password from its environment or as an argument, which more people could read.
INFLUX_USERNAME=probe
INFLUX_PASSWORD=$(cat /run/influxdb/probe)
export INFLUX_USERNAME INFLUX_PASSWORD

exec influx -host 127.0.0.1 -port 8086 -database telegraf -execute 'SHOW MEASUREMENTS LIMIT 1'

#!/bin/sh
# Creates Temporal's two databases and brings their tables up to this version. Safe to run again.
set -eu

prepare() {
    for action in "create" "setup-schema -v 0.0" "update-schema -d /etc/temporal/schema/postgresql/v12/$2/versioned"; do
        # shellcheck disable=SC2086 # an action is several words
        temporal-sql-tool --plugin postgres12 --ep "$POSTGRES_HOST" -p 5432 -u "$POSTGRES_USER" --db "$1" $action
    done
}

prepare temporal temporal
prepare temporal_visibility visibility

# Stands in for the entry point of `postgres`: the same variables, Debian's PostgreSQL.
set -eu
data=/var/lib/postgresql/data
if [ ! -s $data/PG_VERSION ]; then
    password=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" > "$password"
    initdb --pgdata=$data --username="$POSTGRES_USER" --pwfile="$password" --auth=scram-sha-256
    rm "$password"
    echo 'host all all all scram-sha-256' >> $data/pg_hba.conf
    echo "CREATE DATABASE \"$POSTGRES_USER\"" | postgres --single -D $data postgres
fi
exec postgres -D $data -c listen_addresses='*' -c unix_socket_directories=/tmp

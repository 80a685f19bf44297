FROM postgres:17
COPY . /tmp/togg
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make "postgresql-server-dev-$PG_MAJOR" "postgresql-$PG_MAJOR-pgvector" && make -C /tmp/togg with_llvm=no install && apt-get purge -y --auto-remove gcc libc6-dev make "postgresql-server-dev-$PG_MAJOR" && rm -rf /tmp/togg /var/lib/apt/lists/*

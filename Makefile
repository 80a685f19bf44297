EXTENSION = togg togg_pgvector
DATA = $(wildcard togg--*.sql togg_pgvector--*.sql)
MODULE_big = togg
PGFILEDESC = "togg - approximate nearest-neighbour search on a proximity graph"

OBJS = $(patsubst %.c,%.o,$(wildcard src/*.c src/*/*.c))
TOGG_HEADERS = $(wildcard src/*.h src/*/*.h)

REGRESS = $(patsubst sql/%.sql,%,$(sort $(filter-out $(UNABLE), $(wildcard sql/*.sql))))
# Tests of togg_pgvector need pgvector.
UNABLE = $(if $(wildcard $(datadir)/extension/vector.control),,$(wildcard sql/pgvector*.sql))
REGRESS_OPTS = --inputdir=$(srcdir) --load-extension=togg
TAP_TESTS = 1
PROVE_TESTS = test/t/*.pl

PG_CPPFLAGS = -I$(srcdir)/src
# gcc vectorizes plain loops at -O3 only.
PG_CFLAGS = -O3 -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers

EXTRA_CLEAN = test/unit/bin bench/bench

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# PGXS does not track headers; every object depends on all of them.
$(OBJS): $(TOGG_HEADERS)

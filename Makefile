# Nabla: `make help` lists the targets, docs/building.md says more.
# Everything is built below $(BUILD); a variant (sanitizers, coverage) is the same build in another folder.

VERSION   := 0.1.0
SOVERSION := 0
PREFIX    ?= /usr/local
BUILD     ?= build
PYTHON    ?= /usr/bin/python3
PACKAGES  := libmicrohttpd gnutls jansson sqlite3 libcurl nettle zlib

# As many jobs as processors, unless the caller said how many.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

# The OpenSSF C/C++ hardening guide's list, as far as gcc 12 has it.
HARDENING := -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -fcf-protection=full \
             -ftrivial-auto-var-init=zero
WARNINGS  := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 \
             -Wimplicit-fallthrough -Wvla -Werror
WARNINGS_CXX := $(filter-out -Wstrict-prototypes -Wmissing-prototypes,$(WARNINGS))
OPTIMISE  ?= -O2 -g
SANITIZE  ?=
HARDEN    ?= $(HARDENING)

# Asked once, when first needed: pkg-config itself may only be installed by `make packages`.
PACKAGE_CFLAGS = $(eval PACKAGE_CFLAGS := $$(shell pkg-config --cflags $(PACKAGES)))$(PACKAGE_CFLAGS)
PACKAGE_LIBS   = $(eval PACKAGE_LIBS := $$(shell pkg-config --libs $(PACKAGES)))$(PACKAGE_LIBS)

CPPFLAGS += -Ilib -I. -D_GNU_SOURCE -DNABLA_VERSION='"$(VERSION)"'
# -fno-math-errno: with errno gcc calls sqrt instead of using the instruction; no result changes.
COMMON_FLAGS = $(OPTIMISE) -fno-math-errno $(HARDEN) $(SANITIZE) -fPIC -fvisibility=hidden -ffunction-sections -fdata-sections \
               -ffile-prefix-map=$(CURDIR)=. -MMD -MP $(PACKAGE_CFLAGS)
ALL_CFLAGS   = -std=c17 $(WARNINGS) $(COMMON_FLAGS) $(CFLAGS)
ALL_CXXFLAGS = -std=c++17 $(WARNINGS_CXX) $(COMMON_FLAGS) -fno-exceptions -fno-rtti $(CXXFLAGS)
HARDEN_LINK  = -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
ALL_LDFLAGS  = $(SANITIZE) -pie $(HARDEN_LINK) $(LDFLAGS)
LIBS         = $(PACKAGE_LIBS) -lstdc++ -lm -lpthread

# Sources are found by where they lie.
LIB_OBJECTS    := $(patsubst %,$(BUILD)/%.o,$(basename $(sort $(wildcard lib/*/*.c lib/*/*.cc))))
API_OBJECTS    := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard api/*.c)))
SERVER_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(sort $(filter-out server/main.c,$(wildcard server/*.c))))
ALL_OBJECTS    := $(SERVER_OBJECTS) $(API_OBJECTS) $(LIB_OBJECTS)
TEST_SUPPORT   := $(patsubst %.c,$(BUILD)/%.o,$(sort $(filter-out tests/test_%,$(wildcard tests/*.c))))
TESTS          := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/test_*.c)))
FUZZ_TARGETS   := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_REPLAYS   := $(addprefix $(BUILD)/tests/fuzz/fuzz_,$(FUZZ_TARGETS))
FUZZ_SUPPORT   := $(BUILD)/tests/fuzz/jansson_takes.o $(BUILD)/tests/fuzz/sanitizer.o
FUZZ_REPLAY    := $(BUILD)/tests/fuzz/replay.o
TEST_SCRIPTS   := $(sort $(wildcard tests/test_*.sh tests/test_*.py))
BENCHES        := $(patsubst bench/%.c,$(BUILD)/bench/%,$(sort $(wildcard bench/*.c)))
PUBLIC_HEADERS := base/error.h math/loss.h math/loss_certify.h
C_FILES        := $(sort $(wildcard $(foreach folder,lib/* api server tests tests/* bench examples/*,$(addprefix $(folder)/*.,c cc h))))

.PHONY: all
all: $(BUILD)/nabla $(BUILD)/libnabla.a $(BUILD)/libnabla.so ## build the program and both libraries

.PHONY: run
run: packages ## install what is missing, build, serve on 127.0.0.1:8080 with ./data
	@$(MAKE) --no-print-directory all
	@exec $(BUILD)/nabla serve

.PHONY: test
test: packages-test ## install what is missing, build, run every test
	@$(MAKE) --no-print-directory check

.PHONY: check
check: all $(TESTS) $(FUZZ_REPLAYS) ## `make test` without installing anything
	@rm -f $(BUILD)/exchanges.log
	@NABLA=$(BUILD)/nabla BUILD=$(BUILD) NABLA_EXCHANGE_LOG=$(BUILD)/exchanges.log $(TEST_RUNNER) scripts/run-tests.sh $(TESTS) $(FUZZ_REPLAYS) $(TEST_SCRIPTS) $(CHECKS)

# What counts as a test besides the programs: each is one case, passed when it exits with 0.
CHECKS ?= scripts/check-layers.py scripts/check-install.sh scripts/check-openapi.py \
          scripts/check-contract.sh

.PHONY: layers
layers: ## check that includes go one way and third-party headers stay in their module
	@scripts/check-layers.py

# The sanitizers' builds check the programs only: what the other checks look at is the same in them.
.PHONY: asan
asan: ## every test under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) --no-print-directory check BUILD=build/asan CHECKS= HARDEN= OPTIMISE='-O1 -g -fno-omit-frame-pointer' \
	    SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=all'

# ThreadSanitizer cannot run where addresses are scattered too widely (vm.mmap_rnd_bits above 28).
.PHONY: tsan
tsan: ## every test under ThreadSanitizer
	@$(MAKE) --no-print-directory check BUILD=build/tsan CHECKS= HARDEN= OPTIMISE='-O1 -g -fno-omit-frame-pointer' \
	    SANITIZE='-fsanitize=thread' TEST_RUNNER="$$(setarch -R true 2>/dev/null && echo setarch -R)"

RESUME_CYCLES ?= 200

.PHONY: torture-resume
torture-resume: $(BUILD)/nabla $(BUILD)/tests/test_live_resume ## pause, kill and stop $(RESUME_CYCLES) jobs, workers and servers; the bits must be the same
	@NABLA=$(BUILD)/nabla NABLA_RESUME_CYCLES=$(RESUME_CYCLES) $(BUILD)/tests/test_live_resume

KILL_CYCLES ?= 1000

.PHONY: torture-kill
torture-kill: $(BUILD)/nabla ## kill -9 of server and workers $(KILL_CYCLES) times under load: nothing acknowledged is lost
	@NABLA=$(BUILD)/nabla NABLA_KILL_CYCLES=$(KILL_CYCLES) tests/test_kill.py

# As a reader meets them: everything instrumented, by clang. What was found grows in build/fuzz/corpus.
.PHONY: fuzz
fuzz: ## let libFuzzer search: make fuzz [FUZZ=csv] [RUNS=100000]; goes on where it stopped
	@scripts/install-packages.sh build fuzz
	@$(MAKE) --no-print-directory fuzz-programs BUILD=build/fuzz CC=clang CXX=clang++ KERNEL_CC=gcc HARDEN= WARNINGS=-w CFLAGS=-D__SANITIZE_ADDRESS__=1 OPTIMISE='-O1 -g' \
	    SANITIZE='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-coverage=trace-cmp -fno-sanitize-recover=all'
	@scripts/fuzz.sh '$(RUNS)' $(or $(FUZZ),$(FUZZ_TARGETS))

.PHONY: fuzz-keep
fuzz-keep: ## after `make fuzz`: bring the least of what it found into tests/fuzz/corpus: make fuzz-keep [FUZZ=csv]
	@scripts/fuzz.sh keep $(or $(FUZZ),$(FUZZ_TARGETS))

.PHONY: fuzz-programs
fuzz-programs: $(addprefix $(BUILD)/search/fuzz_,$(FUZZ_TARGETS))

.PHONY: torture
torture: $(BUILD)/tests/test_power_cut ## what the tests do briefly, at length: 10,000 power cuts
	POWER_CUTS=10000 $(BUILD)/tests/test_power_cut

.PHONY: siege
siege: $(BUILD)/nabla ## attacks at length: smuggling behind nginx, thousands of slow clients, twice the load
	@scripts/install-packages.sh session siege
	@NABLA=$(BUILD)/nabla tests/test_smuggling.py --nginx
	@NABLA=$(BUILD)/nabla tests/siege/siege.py

# A confined worker could not write down what it reached; threads would lose counts without atomic ones; of a
# VECTORISED function's copies only one runs on a machine, so one is compiled.
.PHONY: coverage
coverage: ## which lines and branches of lib and api the tests reach, in build/coverage/index.html; fails below 95 and 85 %
	@scripts/install-packages.sh coverage
	@NABLA_CONFINE_WORKERS=false $(MAKE) --no-print-directory check BUILD=build/coverage CHECKS= HARDEN= OPTIMISE='-O0 -g' \
	    CFLAGS=-DNABLA_ONE_COPY SANITIZE='--coverage -fprofile-update=atomic'
	@scripts/report-coverage.py build/coverage

.PHONY: bench
bench: $(BENCHES) ## run the benchmarks
	@for bench in $(filter-out %/bench_hello %/bench_poll,$(BENCHES)); do $$bench || exit 1; done

.PHONY: bench-loss
bench-loss: $(BUILD)/bench/bench_loss $(BUILD)/bench/bench_loss_truth ## the loss kernels beside memcpy, PyTorch and NumPy, in time and in ulps
	@BUILD=$(BUILD) $(PYTHON) bench/bench_loss.py
	@$(BUILD)/bench/bench_loss_truth $(or $(ROWS),1000000) $(PEER)

.PHONY: bench-http
bench-http: $(BUILD)/nabla $(BUILD)/bench/bench_hello ## requests per second beside a bare server and FastAPI (needs wrk)
	@BUILD=$(BUILD) $(PYTHON) bench/bench_http.py

.PHONY: bench-history
bench-history: $(BUILD)/nabla $(BUILD)/bench/bench_history ## recording and reading histories beside MLflow's tracking server
	@BUILD=$(BUILD) $(PYTHON) bench/bench_history.py
	@$(BUILD)/bench/bench_history $(STORE_POINTS)

.PHONY: bench-train
bench-train: $(BUILD)/nabla $(BUILD)/bench/bench_train ## training steps and jobs beside other libraries (PEER=their python)
	@BUILD=$(BUILD) $(PYTHON) bench/bench_train.py

.PHONY: bench-mnist
bench-mnist: $(BUILD)/nabla ## the time to 98.3 % on MNIST beside other libraries (MNIST=folder of its files, PEER=their python)
	@BUILD=$(BUILD) $(PYTHON) bench/bench_mnist.py

.PHONY: bench-poll
bench-poll: $(BUILD)/nabla $(BUILD)/bench/bench_hello $(BUILD)/bench/bench_poll ## what pollers and listeners of histories cost (needs wrk)
	@BUILD=$(BUILD) $(PYTHON) bench/bench_poll.py

.PHONY: format
format: ## give every C and C++ file its look
	clang-format -i $(C_FILES)

.PHONY: format-check
format-check: ## fail on a file that `make format` would change
	clang-format --dry-run --Werror $(C_FILES)

.PHONY: analyze
analyze: ## gcc's analyzer, clang-tidy and cppcheck over lib, api and server; fails on a finding
	@scripts/install-packages.sh build check
	@$(MAKE) --no-print-directory analyze-sources BUILD=build/analyze HARDEN= OPTIMISE='-O1 -g' CFLAGS='$(ANALYZER)'
	cppcheck --quiet --inline-suppr --error-exitcode=1 --suppress=cppcheckError:lib/math/loss_oracle_softmax.c -j $(shell nproc) --std=c11 --enable=warning,performance -Ilib -I. lib api server

# gcc 12 loses what is stored through an array's element or a union's member, and then takes it for leaked or never
# set: the sanitizers' leak check and clang's analyzer judge these two.
ANALYZER := -fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-use-of-uninitialized-value -include scripts/analyze.h
# clang 14 has no _Float128 in C, nor gcc's target pragma and vectors.
UNTIDY   := $(shell grep -l -E '_Float128|loss_oracle\.h|pragma GCC target' $(wildcard lib/*/*.c) /dev/null)
TIDIED   := $(patsubst %.c,$(BUILD)/%.tidy,$(filter-out $(UNTIDY),$(wildcard lib/*/*.c api/*.c server/*.c)))

.PHONY: analyze-sources
analyze-sources: $(ALL_OBJECTS) $(TIDIED)

$(BUILD)/lib/base/error.o $(BUILD)/lib/base/error.tidy: private override CFLAGS := $(filter-out -include scripts/analyze.h,$(CFLAGS))
$(BUILD)/api/openapi_data.tidy: private CPPFLAGS += -DOPENAPI_JSON='"$(BUILD)/openapi.json"'

$(BUILD)/%.tidy: %.c $(BUILD)/%.o .clang-tidy
	$(call SAY,TIDY,$<)clang-tidy --quiet $< -- -std=c17 $(CPPFLAGS) $(filter-out -f%,$(filter-out -W%,$(CFLAGS))) 2>/dev/null
	@touch $@

.PHONY: shellcheck
shellcheck: ## look for mistakes in the shell scripts
	shellcheck -x -P SCRIPTDIR .ci/run $(wildcard scripts/*.sh tests/*.sh examples/*.sh)

.PHONY: packages packages-test
packages: ## install what the build and the README's session need and is missing (apt-get; as root or by sudo)
	@scripts/install-packages.sh build session
packages-test:
	@scripts/install-packages.sh build session test

INSTALL_BIN     = $(DESTDIR)$(PREFIX)/bin
INSTALL_LIB     = $(DESTDIR)$(PREFIX)/lib
INSTALL_INCLUDE = $(DESTDIR)$(PREFIX)/include/nabla
INSTALL_MAN     = $(DESTDIR)$(PREFIX)/share/man/man1

.PHONY: install
install: all ## install below PREFIX (/usr/local), under DESTDIR
	install -d $(INSTALL_BIN) $(INSTALL_LIB)/pkgconfig $(addprefix $(INSTALL_INCLUDE)/,$(dir $(PUBLIC_HEADERS))) $(INSTALL_MAN)
	install -m 755 $(BUILD)/nabla $(INSTALL_BIN)/nabla
	install -m 644 $(BUILD)/libnabla.a $(INSTALL_LIB)/libnabla.a
	install -m 644 $(BUILD)/libnabla.so.$(SOVERSION) $(INSTALL_LIB)/libnabla.so.$(VERSION)
	ln -sf libnabla.so.$(VERSION) $(INSTALL_LIB)/libnabla.so.$(SOVERSION)
	ln -sf libnabla.so.$(SOVERSION) $(INSTALL_LIB)/libnabla.so
	# In the tree headers include "base/error.h"; for everyone else it is <nabla/base/error.h>.
	for header in $(PUBLIC_HEADERS); do \
	    sed 's|^#include "\(.*\)"|#include <nabla/\1>|' lib/$$header >$(INSTALL_INCLUDE)/$$header || exit 1; \
	done
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' nabla.pc.in >$(INSTALL_LIB)/pkgconfig/nabla.pc
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|@PREFIX@|$(PREFIX)|' nabla.service.in >$(DESTDIR)$(PREFIX)/lib/systemd/system/nabla.service
	$(if $(wildcard docs/nabla.1),install -m 644 docs/nabla.1 $(INSTALL_MAN)/nabla.1)

.PHONY: clean
clean: ## remove everything that was built
	rm -rf build

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

# ---- how things are made; `make V=1` shows the commands, `make -s` nothing ----

SILENT := $(findstring s,$(firstword -$(MAKEFLAGS)))
SAY     = $(if $(V),,@$(if $(SILENT),,printf '  %-6s %s\n' $(1) $(2);))

# Objects stay, also those that only lead to a test.
.SECONDARY: $(TESTS:=.o) $(FUZZ_REPLAYS:=.o) $(FUZZ_SUPPORT) $(FUZZ_REPLAY) $(BENCHES:=.o) $(TEST_SUPPORT)

.PHONY: packages-present
packages-present:
	@pkg-config --exists --print-errors $(PACKAGES) || { echo "Run: make packages" >&2; exit 1; }

.PHONY: objects
objects: $(ALL_OBJECTS)

$(BUILD)/%.o: %.c Makefile | packages-present
	@mkdir -p $(@D)
	$(call SAY,CC,$<)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# Where another compiler is tried, the kernels, with their vectors and 113-bit numbers, stay gcc's.
ifdef KERNEL_CC
KERNEL_OBJECTS := $(filter $(BUILD)/lib/math/% $(BUILD)/lib/train/adam.o %_avx2.o %_avx512.o,$(LIB_OBJECTS))
$(KERNEL_OBJECTS): private override CC := $(KERNEL_CC)
$(KERNEL_OBJECTS): private override SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
endif

# libFuzzer watches comparisons of numbers where bytes are read as such; of a text's bytes, one by one, it learns
# nothing, and watching them takes up to half of a run.
ifneq ($(findstring fuzzer-no-link,$(SANITIZE)),)
BINARY_READERS := $(addprefix $(BUILD)/lib/data/,array.o idx.o npy.o safetensors.o zip.o)
$(BINARY_READERS): private override SANITIZE += -fsanitize-coverage=trace-cmp
endif

$(BUILD)/%.o: %.cc Makefile | packages-present
	@mkdir -p $(@D)
	$(call SAY,CXX,$<)$(CXX) $(CPPFLAGS) $(ALL_CXXFLAGS) -c -o $@ $<

# The contract is written in YAML, served as JSON, and carried inside the program.
$(BUILD)/openapi.json: api/openapi.yaml scripts/yaml_to_json.py
	@mkdir -p $(@D)
	$(call SAY,JSON,$<)$(PYTHON) scripts/yaml_to_json.py $< $@

$(BUILD)/api/openapi_data.o: $(BUILD)/openapi.json
$(BUILD)/api/openapi_data.o: CPPFLAGS += -DOPENAPI_JSON='"$(BUILD)/openapi.json"'

$(BUILD)/api/dashboard.o: $(wildcard api/dashboard/*)

$(BUILD)/nabla: $(BUILD)/server/main.o $(ALL_OBJECTS)
	$(call SAY,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/tests/test_%: $(BUILD)/tests/test_%.o $(TEST_SUPPORT) $(ALL_OBJECTS)
	$(call SAY,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(FUZZ_REPLAY) $(FUZZ_SUPPORT) $(ALL_OBJECTS)
	$(call SAY,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/search/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(FUZZ_SUPPORT) $(ALL_OBJECTS)
	@mkdir -p $(@D)
	$(call SAY,LINK,$@)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

$(BUILD)/bench/%: $(BUILD)/bench/%.o $(ALL_OBJECTS)
	$(call SAY,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# libnabla is one relocatable object: what NABLA_API functions reach, every other name made local or dropped, so that
# neither library can collide with its user's names or needs a package that the public functions do not use.
# (-fvisibility alone is not enough: gcc exports the resolvers of target_clones.)
$(BUILD)/libnabla.symbols: $(addprefix lib/,$(PUBLIC_HEADERS))
	@mkdir -p $(@D)
	@sed -n -E 's/^NABLA_API [^(]*[ *]([a-z0-9_]+)\(.*/\1/p' $^ >$@

$(BUILD)/libnabla.o: $(LIB_OBJECTS) $(BUILD)/libnabla.symbols
	$(call SAY,LD,$@)$(CC) $(SANITIZE) -r -nostdlib -Wl,--gc-sections $$(sed 's/^/-Wl,-u,/' $(lastword $^)) -o $@ $(LIB_OBJECTS)
	@objcopy --keep-global-symbols=$(lastword $^) --strip-unneeded $@

$(BUILD)/libnabla.a: $(BUILD)/libnabla.o
	$(call SAY,AR,$@)rm -f $@ && $(AR) rcs $@ $<

$(BUILD)/libnabla.so.$(SOVERSION): $(BUILD)/libnabla.o
	$(call SAY,LINK,$@)$(CC) $(SANITIZE) -shared -Wl,-soname,$(@F) $(HARDEN_LINK) $(LDFLAGS) -o $@ $< $(LIBS)

$(BUILD)/libnabla.so: $(BUILD)/libnabla.so.$(SOVERSION)
	@ln -sf $(<F) $@

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

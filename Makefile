# The commands of this repository. `make help` lists them; each does the set-up that it needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
LAB ?= 0
RELEASE ?=
lab := PYTHONPATH=module_utils /usr/bin/python3 -m pasargad_lab
lock := .cache/uv/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock"

.PHONY: help setup lock messages lint test test-pages test-kill test-checkout test-mutation test-idempotence test-fleet test-backup bench-deploy bench-store bench-backup bench-server demo demo-down lab-up lab-down lab-status lab-base lab-ssh lab-exec

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 26

setup: ## Install what the control node needs (again: reuse it)
	@bin/setup

lock: setup ## Resolve requirements/*.in into hashed *.txt and install them (UPGRADE=--upgrade for newest)
	@$(lock) $(UPGRADE) requirements/uv.in -o requirements/uv.txt
	@$(lock) $(UPGRADE) requirements/app.in -o requirements/app.txt
	@$(lock) $(UPGRADE) requirements/outside.in -c requirements/app.txt -o requirements/outside.txt
	@$(lock) $(UPGRADE) requirements/control.in -c requirements/app.txt -c requirements/outside.txt -o requirements/control.txt
	@bin/setup

messages: ## Collect the words of the shop for its translations, and compile what was translated
	@bin/setup --tests
	@cd app && DJANGO_SETTINGS_MODULE=config.settings.build python manage.py makemessages --all --add-location file \
		--no-obsolete --ignore tests --ignore testing --ignore staticfiles
	@# As it is kept: wide lines, and no date that differs after every run.
	@cd app && for words in locale/*/LC_MESSAGES/django.po; do \
		msgcat --width=120 $$words | grep -v '^"POT-Creation-Date' > $$words.new && mv $$words.new $$words; done
	@cd app && DJANGO_SETTINGS_MODULE=config.settings.build python manage.py compilemessages

lint: setup ## Run every linter and type check
	@.venv/bin/python -m tests.run lint

test: ## Run every test with everything it needs (about 45 minutes on two cores)
	@bin/setup --tests
	@.venv/bin/python -m tests.run

test-hosts: ## Run only the tests that boot hosts: the lab, Molecule, the deployed shop
	@bin/setup --tests
	@.venv/bin/python -m tests.run hosts

test-pages: ## Prove the shop's pages: axe, HTML, links, structured data, Lighthouse, keyboard, pictures, the API
	@bin/setup --tests
	@.venv/bin/python -m tests.pages $(ARGS)

test-idempotence: setup ## Prove that nothing to do changes nothing, and that --check tells the truth
	@.venv/bin/python -m tests.idempotence.run

test-kill: setup ## Kill deploys in every phase, by every hand, and see that shoppers keep their shop
	@PYTHONPATH=module_utils .venv/bin/python -m tests.kill $(ARGS)

test-checkout: setup ## Prove on a deployed shop that money is never wrong: races, faults, deaths
	@PYTHONPATH=module_utils .venv/bin/python -m tests.checkout $(ARGS)

test-mutation: setup ## Break the shop in every named way and see that its tests and its made-up stories notice
	@.venv/bin/python -m tests.mutation.money $(ARGS)

bench-deploy: setup ## Measure what a deploy costs the shoppers, beside the common ways of doing it
	@.venv/bin/python -m tests.bench.bench_deploy $(ARGS)

bench-store: setup ## Measure how fast the deployed shop serves, beside a static file of the same size
	@bin/setup --tests
	@.venv/bin/python -m tests.bench.bench_store $(ARGS)

bench-backup: ## Measure what backups cost and how fast they come back, beside the common ways
	@bin/setup --tests
	@PYTHONPATH=module_utils .venv/bin/python -m tests.bench.bench_backup $(ARGS)

bench-server: setup ## Measure application servers and numbers of workers under the deployed shop, in turn
	@bin/setup --tests
	@PYTHONPATH=module_utils .venv/bin/python -m tests.bench.bench_server $(ARGS)

test-backup: ## Prove the parts of the backups with real servers, dumps that die and storage that fails
	@bin/setup --tests
	@.venv/bin/pytest -q tests/backup

test-fleet: setup ## Deploy to two web hosts and a database host, and prove that none goes ahead alone
	@.venv/bin/pytest -q tests/fleet
	@cat test-results/fleet.json

demo: setup ## Make lab hosts on this machine and deploy the store to them
	@.venv/bin/python bin/demo up --lab $(LAB)

demo-down: setup ## Remove the demo's lab hosts again
	@.venv/bin/python bin/demo down --lab $(LAB)

lab-up: setup ## Start lab hosts: make lab-up LAB=7 HOSTS="store1 outside"
	@$(lab) up --lab $(LAB) $(if $(RELEASE),--release $(RELEASE)) $(HOSTS)

lab-down: ## Remove lab hosts: make lab-down LAB=7
	@$(lab) down --lab $(LAB) $(HOSTS)

lab-status: ## Show the hosts of all labs
	@$(lab) status

lab-base: setup ## Build the base tree of a Debian release: make lab-base RELEASE=trixie
	@$(lab) base $(if $(RELEASE),--release $(RELEASE))

lab-ssh: ## Open a shell on a lab host: make lab-ssh LAB=7 HOST=store1
	@$(lab) ssh --lab $(LAB) $(HOST)

lab-exec: ## Run a command on a lab host: make lab-exec LAB=7 HOST=store1 CMD="uptime"
	@$(lab) exec --lab $(LAB) $(HOST) -- $(CMD)

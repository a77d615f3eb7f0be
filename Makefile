# Every target sets up what it needs by itself: `make session` on a fresh machine is one command.
# PYTHON names the Python to build with (3.11 to 3.13), ROS (sourced or wheels) the ROS 2; see `make help`.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help build session test weights dataset train evaluate replay offline record view report topics echo call bench clean

PYTHON ?= python3
export PYTHON ROS TORCH_PIP_ARGS SYNTHEX_CACHE_DIR

SETUP  := $(PYTHON) tools/bootstrap.py
LAUNCH := -- tools/launch synthex_bringup

# $(call arg,name,VARIABLE): the launch argument 'name:=value' if the make variable is set, quoted for the shell.
arg = $(if $($(2)),'$(1):=$(subst ','\'',$($(2)))')

help: ## show this
	@echo 'Simulated C-arm, continuum manipulator and perception (research and simulation only, not a medical device)'
	@echo
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done
	@echo
	@echo 'Variables, e.g. make session PATIENT=my_ct.nii.gz FRAMES=60:'
	@sed -n 's/^#var \([A-Z_]*\) */\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r name text; do printf '  %-18s %s\n' "$$name" "$$text"; done

#var PATIENT           phantom:<seed>, thorax:<seed>, a CT, dressed:<label map>, shape_model:<folder> (session; weights: measure on it)
#var LABELS            label map of the CT, or totalsegmentator (session, weights)
#var LANDMARKS         landmarks marked on the CT in 3D Slicer (session)
#var LABEL_SCHEME      what its ids mean: a name in config/labels or a file (session, weights)
#var CT_NAME           what the model card calls that CT (weights)
#var WEIGHTS           weights of the network, .safetensors (session, replay, offline, evaluate)
#var FRAMES            how many frames to record; 0: until Ctrl-C (session)
#var VIEWER            false: no viewer in the browser (session)
#var RATE              images per second (session); times the recorded speed (replay)
#var DURATION          end after so many seconds (session, record)
#var SEED              of everything random (session, dataset, train, weights)
#var RUN               name of the run's folder in runs/ (session, record, report)
#var BAG               a recorded bag (replay, offline; default runs/latest)
#var PLAN              phantom:<seed> whose landmarks navigation knows (replay, offline; default: that of the recording)
#var PAUSE             true: stay at the end of the recording until Ctrl-C (replay)
#var TOPIC             its name or the end of it (echo)
#var SERVICE           its name or the end of it (call)
#var REQUEST           YAML, e.g. '{view: inlet}' (call)
#var TASK              which scenes and labels, a file in config/tasks (dataset, train)
#var N                 number of images (dataset, weights) or messages (echo; 0: until Ctrl-C)
#var MINUTES           longest training (weights; default 50)
#var OUT               folder to write (offline, dataset, train, evaluate, bench)
#var DATA              data set to read (train, evaluate)
#var RESUME            true: go on with an interrupted run (train)
#var ARGS              further launch arguments, name:=value ...; for make test: arguments of pytest
#var PYTHON            Python 3.11 to 3.13 to build with
#var ROS               sourced or wheels: insist on one
#var TORCH_PIP_ARGS    pip options for torch alone, e.g. an index of CPU builds
#var SYNTHEX_CACHE_DIR where caches go (default: synthex-ros in the user's cache folder)

build: ## set up everything without running anything
	@$(SETUP) --profile run

# On a terminal it goes on after its report, to be looked at and commanded; elsewhere it ends.
session: ## simulate a session: images, manipulator, perception, viewer, recording, report
	@[ ! -t 1 ] || stay=stay:=true; \
	$(SETUP) --profile run $(LAUNCH) session.launch.yaml $(call arg,patient,PATIENT) $(call arg,labels,LABELS) \
	  $(call arg,weights,WEIGHTS) $(call arg,frames,FRAMES) $(call arg,rate_hz,RATE) $(call arg,seed,SEED) \
	  $(call arg,label_scheme,LABEL_SCHEME) $(call arg,landmarks,LANDMARKS) $(call arg,run_dir,RUN_DIR) $(call arg,viewer,VIEWER) \
	  $(if $(DURATION),'duration_s:=$(DURATION)' $(if $(FRAMES),,frames:=0),$$stay) $(ARGS)

record: ## record what runs elsewhere on this machine
	@$(SETUP) --profile run $(LAUNCH) record.launch.yaml $(call arg,frames,FRAMES) $(call arg,duration_s,DURATION) \
	  $(call arg,run_dir,RUN_DIR) $(ARGS)

replay: ## play a recorded session to perception and navigation again
	@$(SETUP) --profile run $(LAUNCH) replay.launch.yaml $(call arg,bag,BAG) $(call arg,rate,RATE) \
	  $(call arg,weights,WEIGHTS) $(call arg,pause,PAUSE) $(call arg,plan,REPLAY_PLAN) $(ARGS)

offline: ## look at a recorded session again without ROS, and write a table of results
	@$(SETUP) --profile run -- python -m synthex_bringup.offline '$(or $(BAG),runs/latest)' \
	  $(if $(WEIGHTS),--weights '$(WEIGHTS)') $(if $(OUT),--out '$(OUT)') $(if $(PLAN),--plan '$(PLAN)') $(ARGS)

topics: ## list topics and services of a running session
	@$(SETUP) --profile run -- python -m synthex_bringup.nodes.inspection topics

echo: ## print messages of a topic (TOPIC, N)
	@$(SETUP) --profile run -- python -m synthex_bringup.nodes.inspection echo '$(TOPIC)' --count $(or $(N),1)

call: ## call a service (SERVICE, REQUEST), e.g. SERVICE=carm/set_view REQUEST='{view: inlet}'
	@$(SETUP) --profile run -- python -m synthex_bringup.nodes.inspection call '$(SERVICE)' '$(or $(REQUEST),{})'

view: ## show what the viewer of a run has recorded (RUN, default the latest)
	@$(SETUP) --profile run -- python -m synthex_bringup.viewer '$(or $(RUN_DIR),runs/latest)'

report: ## make the report of a run again (RUN, default the latest)
	@$(SETUP) --profile run -- python -m synthex_bringup.report '$(or $(RUN_DIR),runs/latest)'

dataset: ## render a labelled data set
	@$(SETUP) --profile run $(LAUNCH) generate_dataset.launch.yaml $(call arg,task,TASK) $(call arg,n,N) \
	  $(call arg,out,OUT) $(call arg,seed,SEED) $(ARGS)

train: ## train a network on a data set
	@$(SETUP) --profile train $(LAUNCH) train.launch.yaml $(call arg,task,TASK) $(call arg,data,DATA) \
	  $(call arg,out,OUT) $(call arg,seed,SEED) $(call arg,resume,RESUME) $(ARGS)

evaluate: ## measure weights on a data set
	@$(SETUP) --profile train $(LAUNCH) evaluate.launch.yaml $(call arg,weights,WEIGHTS) $(call arg,data,DATA) \
	  $(call arg,out,OUT) $(ARGS)

weights: ## render, train, measure and describe the session's weights from nothing (70 minutes on 2 cores)
	@set -e; run=runs/training/weights-$$(date -u +%Y%m%dT%H%M%SZ); \
	step() { $(SETUP) --profile train -- python -m "$$@"; }; \
	render() { step synthex_sim.dataset --task session --seed $(or $(SEED),1) "$$@"; }; \
	measure() { step synthex_perception.evaluation --weights $$run/session.safetensors --data "$$1" --out "$$2"; }; \
	data=runs/datasets/weights-$(or $(SEED),1)-$(or $(N),3000); \
	render --n $(or $(N),3000) --out $$data; \
	step synthex_perception.training --data $$data --seed $(or $(SEED),1) --config config/training/session.yaml \
	  --out $$run --max-minutes $(or $(MINUTES),50) --export $$run/session.safetensors; \
	measure $$data $$run/phantoms; set -- --domain "held-out phantoms=$$run/phantoms/metrics.json"; \
	if [ -n '$(PATIENT)' ]; then \
	  render --n 120 --out $$run/ct --patient '$(PATIENT)' --labels '$(LABELS)' --label-scheme '$(LABEL_SCHEME)'; \
	  measure $$run/ct $$run/given; set -- "$$@" --domain "$(or $(CT_NAME),a given CT)=$$run/given/metrics.json"; fi; \
	step synthex_perception.evaluation.model_card --weights $$run/session.safetensors --run $$run --data $$data \
	  --limit "The held-out phantoms come from the generator of those trained on: figures on them say nothing of people." \
	  --limit "Nothing here was measured on real radiographs." "$$@" $(ARGS); \
	install -m 644 $$run/session.safetensors $$run/session.md models/

bench: ## time rendering beside other renderers and compare the images (20 minutes on 2 cores; docs/benchmarks/)
	@$(SETUP) --profile run -- python tools/benchmarks/render.py $(if $(OUT),--out '$(OUT)') $(ARGS)

test: ## all tests, one of them end to end over DDS
	@$(SETUP) --profile test -- python -m pytest $(ARGS)

clean: ## remove what was built, logs and the virtual environment; runs/, models/ and the cache stay
	rm -rf build install log .venv .venv-ros

RUN_DIR = $(if $(RUN),runs/$(RUN))
# A launch file cannot look into the run folder for whom it shows.
REPLAY_PLAN = $(or $(PLAN),$(shell sed -n 's/^ *"patient": "\(phantom:[^"]*\)".*/\1/p' '$(or $(BAG),runs/latest)/recording.json' 2>/dev/null))

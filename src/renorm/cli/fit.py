"""``renorm fit | validate | test | predict``: LightningCLI with names for configs and checkpoints that know their recipe."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.rank_zero import _get_rank
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.plugins.io import CheckpointIO

from ..callbacks import (
    BestCheckpoint,
    CSVRows,
    CumulantDiagnostics,
    DivergedMembers,
    EventFiles,
    Generalization,
    Interrupted,
    LastCheckpoint,
    LogHyperparameters,
    ProgressBar,
    ProgressLines,
    RGFlow,
    ScalarLayout,
    StopBetweenSteps,
    SymmetryBreaking,
    TestReport,
    TheoryGap,
    WholeCheckpointIO,
    WritePredictions,
)
from ..callbacks.csv_metrics import KeepingCSVLogger
from ..callbacks.event_files import FIT_SUFFIX
from ..callbacks.interruption import signals_handled, stop_at_once
from ..callbacks.sending import folder_without
from ..callbacks.tables import dry
from ..callbacks.tables import run_folder as run_folder_of
from ..console import print_wrapped
from ..datamodules import CLTDataModule
from ..datamodules.held_out import are_the_seven
from ..errors import InputError, RunError, failure
from ..files.folder_names import check_folder_name, check_path
from ..files.footprint import Footprint
from ..files.whole import LOCK, one_writer
from ..own_code import class_name, class_path, command_line, where_from
from ..pretrained.exported import SUFFIX, is_exported
from ..pretrained.hub import OF_TRAINING, load_pretrained, pretrained_recipe
from ..runs.checkpoint import (
    RECIPE_KEY,
    canonical,
    check_files,
    conflicts,
    does_not_fit,
    find_checkpoint,
    find_model,
    find_settings,
    is_pretrained,
    is_restoring,
    load_checkpoint,
    recipe_of,
    run_folder,
)
from ..runs.configs import BASE_CONFIG, find_config
from ..runs.loggers import check_named, csv_settings, keeping, other_loggers, service_refusal, where_to_look
from ..runs.quiet_trainer import LOGGERS, ignore_expected_warnings, show_log
from ..runs.trainer_checks import check_settings, check_strategy, refused_setting
from ..training.divergence import AllDivergedError
from ..training.recipe import DATA_CLASS, OF_TRAINING_DATA, check_data_class, own_data_class, shown_apart
from ..zoo import StackedModel
from ..zoo.activations import find as find_activation
from ..zoo.architectures import find_architecture, known_names
from ..zoo.registry import PREFIXES
from .data_class import find_data_class, of_configs, take_data_class
from .fit_summary import summary
from .imports import imports_restricted
from .interrupt import how_to_go_on
from .main import COMMANDS, refused
from .options import ALLOW_IMPORTS, WIDE, take_all, take_flag, take_option, with_places
from .settings_parser import Parser, building, in_one_line, unused, without_unused

# settings of a model that a run which starts from trained weights may choose anew
OF_NEW_RUN = ("compile", "loss", "seed", *(key for key in OF_TRAINING if key != "members"))


class SaveConfig(SaveConfigCallback):
    """Keep the config beside the checkpoints; that of a resumed run gets a number, so that none is lost."""

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Choose a free name, then save."""
        # not the trainer's log_dir where no logger has one of its own: all runs would share it
        self.save_to_log_dir = not trainer.loggers or any(getattr(one, "log_dir", None) for one in trainer.loggers)
        folder = Path(trainer.log_dir or ".") if self.save_to_log_dir else folder_without(trainer.loggers[0], trainer)
        number = 0
        while trainer.is_global_zero and (folder / self.config_filename).exists():
            number += 1
            self.config_filename = f"config_resumed_{number}.yaml"
        for callback in trainer.callbacks if trainer.is_global_zero else []:  # type: ignore[attr-defined]
            if isinstance(callback, Footprint):
                callback.will_write(folder / self.config_filename)
        model = self.config.get("model") or Namespace()  # type: ignore[no-untyped-call]
        for name in unused(str(model.get("class_path")), vars(model.get("init_args", Namespace()))):  # type: ignore[no-untyped-call]
            del model.init_args[name]
        super().setup(trainer, pl_module, stage)

    def save_config(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Save it in the run's folder if no logger has one."""
        if not self.save_to_log_dir:
            folder = folder_without(trainer.loggers[0], trainer)
            folder.mkdir(parents=True, exist_ok=True)
            self.parser.save(self.config, folder / self.config_filename, skip_none=False, multifile=self.multifile)


class RenormCLI(LightningCLI):
    """LightningCLI for stacked models: a checkpoint brings its recipe, and core callbacks need no YAML.

    Args:
        words: the command and its arguments.
        footprint: of what it writes.
        everything: whether any module may be imported.
        wide: whether tables on the screen have all columns.
    """

    def __init__(self, words: list[str], footprint: Footprint, everything: bool = False, wide: bool = False) -> None:
        self.words = words
        self.wide = wide
        self.footprint = footprint
        self.command = words[0]
        configs, self.flags = take_all(words[1:], "-c", "--config")
        self.configs = [str(BASE_CONFIG), *map(find_config, configs)]
        self.run_name = Path(configs[-1]).stem if configs else "mlp"
        self.checkpoint: Path | None = None
        self.pretrained: str | None = None
        self.recipe: dict[str, Any] | None = None
        self.origin = ""  # where the classes of a checkpoint are defined, if not in renorm
        asked, self.flags = take_data_class(self.flags)
        self.start: dict[str, Any] | None = None  # settings of the model whose weights a new run starts from
        self._take_start()
        word, self.flags = take_option(self.flags, "--ckpt_path")
        word = self._take_pretrained(word)
        if word is not None:
            self._find_recipe(word)
        self.data_class = self._find_data_class(asked, everything)
        super().__init__(
            model_class=StackedModel,
            subclass_mode_model=True,
            datamodule_class=self.data_class,
            parser_class=Parser,
            save_config_callback=SaveConfig if self.command == "fit" else None,
            seed_everything_default=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args=self._arguments(self.recipe),
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the rearranged arguments, not those of the process."""
        try:
            self.config = parser.parse_args(args)
        except (ValueError, RecursionError) as error:
            raise in_one_line(error, self.origin) from None
        self._keep_older_default()
        self.subcommand = self.command

    def _keep_older_default(self) -> None:
        """Where a config leaves the held-out laws to the default, and the checkpoint has that of before, it keeps these."""
        known, data = (self.recipe or {}).get("data") or {}, self.config[self.command].get("data")
        laws = known.get("held_out_laws")
        left_open = data is not None and "held_out_laws" in data and data["held_out_laws"] is None
        if left_open and are_the_seven(known.get("train_laws"), laws):
            data["held_out_laws"] = laws

    # ---- what to run ---------------------------------------------------------------------------------------------

    def _take_pretrained(self, word: str | None) -> str | None:
        """Note a pretrained entry named by ``--model`` or ``--ckpt_path``; return the word if it is not one."""
        model, flags = take_option(self.flags, "--model")
        by_model = self.command != "fit" and model is not None and _is_trained(model)
        if by_model:
            if word is not None:
                raise InputError(f"model={model!r} contradicts ckpt_path={word!r}", "one of the two")
            word, self.flags = model, flags
        if word is None or not (by_model or is_pretrained(word)):
            return word
        if self.command == "fit":
            raise InputError(f"ckpt_path={word!r} is not a checkpoint of a fit", "a file, 'last' or 'best'")
        self.recipe = pretrained_recipe(word)
        if self.recipe["data"] is None:
            raise InputError(f"model={word!r} does not say on which laws it was trained", "to export it again")
        check_files(self.recipe, f"model={word!r}", self.configs[1:], self.flags)
        self.pretrained = word
        return None

    def _take_start(self) -> None:
        """Lay the architecture of ``--init_from`` under the flags."""
        word, flags = take_option(self.flags, "--init_from")
        if word is None or self.command != "fit":
            return
        checkpoint, _ = take_option(flags, "--ckpt_path")
        if checkpoint is not None:
            raise InputError(
                f"init_from={word!r} contradicts ckpt_path={checkpoint!r}, which continues a run", "one of the two"
            )
        if word in ("last", "best"):
            word = str(find_checkpoint(word, Path(self._root)))  # the config is to say which one it was
        self.start = self._start_of(word)
        self.flags = [*flags, "--init_from", word]

    def _start_of(self, word: str) -> dict[str, Any]:
        """Class and architecture of the model that a run starts from."""
        if not is_pretrained(word) and not Path(word).exists():
            raise InputError(
                f"init_from={word!r} is not there",
                "a name of 'renorm zoo list --pretrained', a checkpoint, or what "
                "'renorm zoo export --format safetensors' wrote",
            )
        settings = find_settings(word, Path(self._root))
        arguments = {key: value for key, value in (settings.get("init_args") or {}).items() if key not in OF_NEW_RUN}
        return {"class_path": settings["class_path"], "init_args": arguments}

    def _check_start(self, word: str) -> None:
        """Refuse settings of the model with which it could not take the weights."""
        known, asked = self._start_of(word), self._settings()["model"]
        differences = conflicts(
            {"class_path": class_name(str(known["class_path"])), **known["init_args"]},
            {"class_path": class_name(str(asked["class_path"])), **asked["init_args"]},
        )
        if differences:
            key, remembered, wanted = differences[0]
            raise InputError(
                f"model.{key}={wanted!r} contradicts init_from={word!r}, which has {remembered!r}", "the same model"
            )

    @property
    def _root(self) -> str:
        return take_option(self.flags, "--trainer.default_root_dir")[0] or "runs"

    @property
    def _name(self) -> str:
        return take_option(self.flags, "--name")[0] or self.run_name

    def _find_recipe(self, word: str) -> None:
        folder = Path(self._root)
        if take_option(self.flags, "--name")[0] or len(self.configs) > 1:
            folder /= self._name
        self.checkpoint = find_checkpoint(word, folder)
        if self.command != "fit":
            self._check_name()
        checkpoint = load_checkpoint(self.checkpoint)
        self.recipe = recipe_of(checkpoint)
        self.recipe["model"] = without_unused(self.recipe["model"])
        self.origin = where_from(checkpoint[RECIPE_KEY].get("origin"))
        model = self.recipe["model"]
        if class_name(model["class_path"]).startswith("own "):
            self.recipe["model"] = model | {"class_path": self._own_class(model["class_path"])}
        arguments = model.get("init_args")
        if isinstance(arguments, dict) and "activation" in arguments:
            with building(self.origin):
                find_activation(arguments["activation"])  # before its parameters, which the parser would not know
        check_files(self.recipe, f"ckpt_path={str(self.checkpoint)!r}", self.configs[1:], self.flags)

    def _find_data_class(self, asked: str | None, everything: bool) -> type[LightningDataModule]:
        remembered = None if self.recipe is None else self.recipe.get(DATA_CLASS)
        cls = find_data_class(asked or of_configs(self.configs[1:]) or remembered, everything)
        if self.recipe is not None and self.command == "fit":
            check_data_class(
                self.recipe, {DATA_CLASS: class_path(cls)}, "the checkpoint", "a new run without --ckpt_path"
            )
        return cls

    def _own_class(self, path: str) -> str:
        """Where this process has a class: a script that was run then may be a module that ``--import`` names now."""
        cls = find_architecture(path)
        if cls is None and path.startswith("__main__."):  # which no parser can import
            raise InputError(f"ckpt_path={str(self.checkpoint)!r} holds a {path}", f"{known_names()}{self.origin}")
        return path if cls is None else class_path(cls)

    @property
    def _run(self) -> Path | None:
        """Folder of the run that is continued or judged; None for a new run, and for a checkpoint outside of a run."""
        return None if self.checkpoint is None else run_folder(self.checkpoint)

    def _check_name(self) -> None:
        """Refuse a name that the checkpoint's run does not have, and that no new run would take."""
        name, _ = take_option(self.flags, "--name")
        if name is not None and (name == "~" or name.lower() == "null"):  # which YAML reads as none
            raise InputError(f"name={name!r} is no name", "a word, or no --name at all")
        if name is None or self.checkpoint is None or (self._run is None and self.command == "fit"):
            return
        if self._run is None:
            raise InputError(
                f"name={name!r} has no effect beside ckpt_path={str(self.checkpoint)!r}, which lies in no run", "none"
            )
        run = Path(os.path.abspath(self._run))
        if name not in (run.name, run.parent.name):
            raise InputError(
                f"name={name!r} contradicts ckpt_path={str(self.checkpoint)!r}, of the run {str(self._run)!r}",
                "the run's own name, or none",
            )

    def _arguments(self, recipe: dict[str, Any] | None) -> list[str]:
        # files first, so that a flag wins wherever it stands; the checkpoint's recipe before the user's own files
        under = recipe or ({"model": self.start} if self.start else None)
        files = [self.configs[0], *([json.dumps(under)] if under else []), *self.configs[1:]]
        seed, flags = take_option(self.flags, "--seed")
        logger, _ = take_option(flags, "--trainer.logger")
        if logger is not None:
            flags = with_places(flags, *self._places(logger))
        seeds = [] if seed is None else [f"--model.init_args.seed={seed}", f"--data.seed={seed}"]
        data_class = [] if self.data_class is CLTDataModule else [f"--{DATA_CLASS}={class_path(self.data_class)}"]
        return [self.command, *(f"--config={file}" for file in files), *data_class, *seeds, *flags]

    def _places(self, logger: str) -> tuple[str, str]:
        """Folder and name for a logger that is not told of them."""
        name = logger.rpartition(".")[2]
        if self._run is not None and name in ("CSVLogger", "TensorBoardLogger"):
            # a fit continues its run's file; commands that judge it write within the run
            home = self._run.resolve().parent
            return (str(home.parent), home.name) if self.command == "fit" else (str(self._run), self.command)
        check_folder_name("name", self._name)
        return self._root, self._name

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """What Trainer's methods take that is not for the command line."""
        skip = {"model", "dataloaders", "datamodule", "ckpt_path", "weights_only"}
        return {
            "fit": skip - {"dataloaders"} | {"train_dataloaders", "val_dataloaders"},
            "validate": skip | {"verbose"},
            "test": skip | {"verbose"},
            "predict": skip | {"return_predictions"},
        }

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        # one command needs one parser: building the others costs seconds
        command = self.command
        every = type(self).subcommands()
        self.subcommands = lambda: {command: every[command]}  # type: ignore[method-assign]
        super()._add_subcommands(parser, **kwargs)
        # Lightning's is a docstring, cut in the middle of a sentence
        self._parser(command).description = COMMANDS[command][0]

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Seeds belong to the model and to the data; ``--seed`` sets both."""
        parser.add_argument("--seed", type=int | None, default=None, help="seed of both model and data")
        parser.add_argument(
            "--name", type=str | None, default=None, help="folder of the run (default: the config's name)"
        )
        parser.add_argument("--ckpt_path", type=str | None, default=None, help="a checkpoint, or 'last' or 'best'")
        parser.add_argument(
            f"--{DATA_CLASS}", type=str | None, default=None, help="class of the data; --data CLASS for short"
        )
        if self.command == "fit":
            parser.add_argument(
                "--init_from",
                type=str | None,
                default=None,
                help="start a new run from trained weights: a pretrained entry, a checkpoint, or an exported model",
            )
        # no setting, see take_flag: a config cannot give itself leave
        parser.epilog = (
            f"{ALLOW_IMPORTS}: let configs import any class; by default only those of renorm, PyTorch and Lightning"
        )
        if self.command in ("validate", "test"):
            parser.epilog = f"{WIDE}: print all columns, however wide the terminal is. {parser.epilog}"

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The core callbacks, registered here because a second config would replace those of a YAML list."""
        parser.add_lightning_class_args(Generalization, "generalization")
        if self.command == "fit":
            parser.add_lightning_class_args(LastCheckpoint, "last_checkpoint")
            parser.add_lightning_class_args(CumulantDiagnostics, "cumulants")
            parser.add_lightning_class_args(SymmetryBreaking, "symmetry_breaking")
            parser.add_lightning_class_args(RGFlow, "rg_flow")
            parser.add_lightning_class_args(TheoryGap, "theory_gap")
            # a prediction can cost more than an epoch of training: it is made for those who ask for it
            parser.set_defaults({"theory_gap.every_n_epochs": 0})
        if self.command == "test":
            parser.add_argument("--allow_untrained", type=bool, default=False, help="test random weights, on purpose")
        if self.command == "predict":
            parser.add_argument("--out", type=str, default="predictions.parquet", help="file to write")

    def _parse_ckpt_path(self) -> None:
        """The recipe was laid under the flags already; refuse flags that contradict it."""
        if self.recipe is None:
            if self.command != "fit" and not self._get(self.config, "allow_untrained"):
                untrained = ", or --allow_untrained true" if self.command == "test" else ""
                raise InputError(
                    f"ckpt_path is missing: {self.command} would judge random weights",
                    f"a checkpoint, 'last', 'best'{untrained}",
                )
            if (word := self._init_from()) is not None:
                self._check_start(word)
            return
        self._check_recipe(self._settings(), made=False)

    def _check_recipe(self, asked: dict[str, Any], made: bool) -> None:
        """Refuse settings that contradict the checkpoint's.

        Args:
            asked: settings of model and data.
            made: whether the data module has been made. Before that, null stands for a default that only the module knows,
                such as ``held_out_laws: null`` in the config of a run.
        """
        assert self.recipe is not None
        data_keys = None if self.command == "fit" else OF_TRAINING_DATA
        different = conflicts(self._normalised(self.recipe, data_keys), self._normalised(asked, data_keys))
        for key, remembered, wanted in different:
            if key.startswith("data."):
                if wanted is None and not made:
                    continue
                wanted = asked["data"][key.removeprefix("data.")]  # as it was typed
                wanted, remembered = shown_apart(wanted, remembered)
            raise InputError(
                f"{key}={wanted!r} contradicts the checkpoint, which has {remembered!r}",
                "the checkpoint's value, or a new run without --ckpt_path",
            )

    def _init_from(self) -> str | None:
        """Where a new run takes its first weights from; None for a run that is continued."""
        word: str | None = self._get(self.config, "init_from") if self.command == "fit" else None
        return word if self.checkpoint is None else None

    def _settings(self) -> dict[str, Any]:
        """Model and data as plain settings."""
        config = self.config[self.command]
        # a data module of one's own may have no settings, and then no section
        sections = Namespace(**{key: config[key] for key in ("model", "data") if key in config})  # type: ignore[no-untyped-call]
        dumped = self._parser(self.command).dump(sections, format="json", skip_unset=False, skip_validation=True)
        settings: dict[str, Any] = {"data": {}} | json.loads(dumped)
        return settings | {"model": without_unused(settings["model"])}

    def _normalised(self, settings: dict[str, Any], data_keys: tuple[str, ...] | None) -> dict[str, Any]:
        data = {k: canonical(k, v) for k, v in settings["data"].items() if data_keys is None or k in data_keys}
        model = dict(settings["model"])
        # how a run computes does not change what it computes, nor does how a pretrained model was trained
        left_out = ["compile"] + [key for key in OF_TRAINING if key != "members"] * (self.pretrained is not None)
        arguments = {k: v for k, v in model.get("init_args", {}).items() if k not in left_out}
        if self.pretrained is not None:
            model = {key: value for key, value in model.items() if key not in left_out}
        model |= {"init_args": arguments, "class_path": class_name(str(model["class_path"]))}
        return {"model": model, "data": data}

    def _set_seed(self) -> None:
        """Nothing global to seed: weights and batches have their own generators."""

    def instantiate_classes(self) -> None:
        """Build model, data and trainer; the model keeps the recipe for its checkpoints."""
        try:
            with building(self.origin):
                super().instantiate_classes()
        except ValueError as error:
            if (refusal := service_refusal(error)) is None:
                raise
            raise InputError(
                f"trainer.logger: {refusal}", "arguments that it takes, such as a sqlite:/// store"
            ) from error
        settings, made = self._settings(), dict(self.datamodule.hparams)
        if self.recipe is not None:
            data = {key: made.get(key) if value is None else value for key, value in settings["data"].items()}
            self._check_recipe(settings | {"data": data}, made=True)
        if self.pretrained is not None:
            self.model.load_state_dict(load_pretrained(self.pretrained, members="all").state_dict())
        if (word := self._init_from()) is not None:
            self.model.load_state_dict(find_model(word, Path(self._root)).state_dict())
        # canonical form of the laws, as the data module has it
        settings["data"] |= made
        self.model.recipe = settings | own_data_class(self.datamodule)

    # ---- where and how to run it ---------------------------------------------------------------------------------

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer with the core callbacks of the command and a logger that knows the run."""
        settings = self._get(self.config_init, "trainer")
        check_settings(settings, self.model, self.datamodule)
        callbacks: list[Any] = []
        if self.command == "fit":
            callbacks = [StopBetweenSteps(), EventFiles(), CSVRows(), DivergedMembers()]
            callbacks += [BestCheckpoint(), LogHyperparameters(), ScalarLayout()]
        elif self.command in ("validate", "test"):
            callbacks = [TestReport(str(self.checkpoint.parent) if self.checkpoint else None, self.wide)]
        elif self.command == "predict":
            callbacks = [WritePredictions(self._get(self.config, "out"))]
        callbacks.append(self.footprint)
        bar = sys.stdout.isatty() if settings["enable_progress_bar"] is None else settings["enable_progress_bar"]
        if bar or settings["enable_progress_bar"] is None:
            callbacks.append(ProgressBar() if bar else ProgressLines())
        kwargs["enable_progress_bar"] = bar
        self.trainer_defaults["callbacks"] = callbacks
        kwargs["plugins"] = with_whole_checkpoints(settings["plugins"])
        if settings["logger"] in (None, True):
            kwargs["logger"] = self._logger(
                Path(settings["default_root_dir"] or "runs"), bool(settings["fast_dev_run"])
            )
        elif self.command == "fit" and self.checkpoint is None and self._get(self.config, "name") is not None:
            check_named(self._get(self.config, "name"), settings["logger"])
        if settings["logger"] not in (None, True, False):
            kwargs["logger"] = keeping(settings["logger"], self._run if self.command == "fit" else None)
        try:
            trainer = super().instantiate_trainer(**kwargs)
        except (MisconfigurationException, ImportError, ValueError, TypeError) as error:
            raise InputError(f"trainer: {error}") from error
        check_strategy(trainer, settings)
        return trainer

    def _logger(self, root: Path, dry: bool) -> Logger | bool:
        if self.checkpoint is not None:
            check_path("ckpt_path", str(self.checkpoint))
        self._check_name()
        if self._run is not None:
            return self._logger_of_run(self._run)
        if self.command != "fit":
            return False
        name = self._get(self.config, "name") or self.run_name
        check_folder_name("name", name)
        check_path("trainer.default_root_dir", str(root))
        # one process for all makes the folder, and none where nothing will be logged
        version = None if dry or _get_rank() else self.footprint.claim(root / name).name
        return TensorBoardLogger(root, name=name, version=version, default_hp_metric=False, filename_suffix=FIT_SUFFIX)

    def _logger_of_run(self, run: Path) -> Logger | bool:
        """A resumed fit and a test log under the run that they continue or judge, the fit as the run did."""
        written = csv_settings(run)
        if written is not None:
            # a test writes its own file: a continued fit would truncate it in the run's file
            folder = run if self.command == "fit" else run / self.command
            return self.command != "predict" and KeepingCSVLogger(folder, name="", version="", **written)
        if self.command == "fit" and (others := other_loggers(run)):
            print(
                f"log:    {', '.join(others)} of the run is not continued; TensorBoard's files are written to {run} "
                "(--trainer.logger names another)",
                file=sys.stderr,
            )
        suffix = FIT_SUFFIX if self.command == "fit" else ""
        return TensorBoardLogger(run, name="", version="", default_hp_metric=False, filename_suffix=suffix)

    def fit(self, *args: Any, **kwargs: Any) -> None:
        """Train; if the run stops early, print how to continue it.

        Raises:
            Interrupted: if the process was asked to stop.
        """
        try:
            with self._alone():
                start = time.monotonic()
                self.trainer.fit(*args, **kwargs)
                self._seconds = time.monotonic() - start
        except BaseException as error:
            reason = failure(error)
            if self.trainer.is_global_zero and (isinstance(error, Interrupted) or reason):
                print(f"stopped: {self._progress()}", file=sys.stderr)
                if not isinstance(reason, AllDivergedError):
                    print(how_to_go_on(self.words, self._last_checkpoint()), file=sys.stderr)
            if reason is None:
                raise
            raise RunError(f"run {str(self._folder)!r} cannot go on: {reason}") from error

    def _alone(self) -> contextlib.AbstractContextManager[None]:
        """Refuse to write into a run that another process is writing."""
        logger = self.trainer.logger
        if not isinstance(logger, TensorBoardLogger | CSVLogger) or not self.trainer.is_global_zero:
            return contextlib.nullcontext()
        folder = Path(logger.log_dir)
        self.footprint.will_make(folder)
        if not (folder / LOCK).exists():
            self.footprint.will_write(folder / LOCK)
        return one_writer(folder, "run")

    def _progress(self) -> str:
        last = self._last_checkpoint()
        return f"the run is saved up to step {load_checkpoint(last)['global_step']}" if last else "nothing is saved yet"

    def _last_checkpoint(self) -> Path | None:
        written = self._folder / "checkpoints" / "last.ckpt"
        return written if written.is_file() else self.checkpoint

    @property
    def _folder(self) -> Path:
        """The run's folder, whatever its loggers."""
        return run_folder_of(self.trainer) or Path(self.trainer.default_root_dir)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        kwargs |= {"ckpt_path": self.checkpoint, "weights_only": True}
        if subcommand == "predict":
            kwargs["return_predictions"] = False
        return kwargs

    def _run_subcommand(self, subcommand: str) -> None:
        """Run the command; a checkpoint whose state does not fit is bad input."""
        try:
            super()._run_subcommand(subcommand)
        except Exception as error:
            if self.checkpoint is not None and is_restoring(error):
                raise does_not_fit(error, self.checkpoint) from None
            if (setting := refused_setting(error)) is not None:
                raise InputError(f"{setting}: {error}") from error
            raise

    def after_predict(self) -> None:
        """Print which file was written."""
        if self.trainer.is_global_zero and not dry(self.trainer):
            print(f"written: {self._get(self.config, 'out')}")

    def after_fit(self) -> None:
        """Print how the fit went, where its results are, and which command judges them."""
        if not self.trainer.is_global_zero:
            return
        if dry(self.trainer):
            print("run:    a dry one, of which trainer.fast_dev_run keeps nothing")
            return
        folder = self._folder
        print_wrapped("\n".join(summary(self.model, self.trainer, self._seconds, folder)))
        print(f"run:    {folder}")
        if self.checkpoint is None and self.trainer.ckpt_path:
            print(f"from:   {self.trainer.ckpt_path}, which was left for a job that is requeued")
        # the last one alone where nothing was validated
        written = [folder / "checkpoints" / name for name in ("best.ckpt", "last.ckpt")]
        if (judged := next((path for path in written if path.exists()), None)) is not None:
            print(f"judge:  {command_line(['test', '--ckpt_path', str(judged)])}")
        for line in where_to_look(self.trainer):
            print(line)


def _is_trained(model: str) -> bool:
    """Whether a word after ``--model`` names trained weights; a class has a capital letter or a dot in its path."""
    named = (model.islower() and "." not in model) or model.startswith(PREFIXES)
    return named or model.endswith(SUFFIX) or is_exported(model)


def with_whole_checkpoints(plugins: Any) -> list[Any]:
    """The trainer's plugins, and ours that writes checkpoints whole unless there is another one for them."""
    listed = [] if plugins is None else plugins if isinstance(plugins, list) else [plugins]
    return listed if any(isinstance(plugin, CheckpointIO) for plugin in listed) else [*listed, WholeCheckpointIO()]


def _thread_failed(thread: threading.ExceptHookArgs) -> None:
    """Ignore a full disk, which TensorBoard's thread also reports to the thread that waits for it."""
    if thread.exc_value is None or failure(thread.exc_value) is None:
        threading.__excepthook__(thread)


def run(words: list[str]) -> None:
    """Run ``fit``, ``validate``, ``test`` or ``predict``."""
    # converged members have gradients near 1e-40, and denormal numbers make a step ten times slower
    torch.set_flush_denormal(True)
    for logger in LOGGERS[:2]:
        logging.getLogger(logger).setLevel(logging.WARNING)  # advertisements and lists of devices
    ignore_expected_warnings()
    if words[0] != "fit":
        # where nothing is saved, it does not matter where checkpoints were
        warnings.filterwarnings("ignore", "The dirpath has changed from")
    show_log()
    everything, words = take_flag(words, ALLOW_IMPORTS)
    wide, words = take_flag(words, WIDE) if words[0] in ("validate", "test") else (False, words)
    footprint = Footprint()
    try:
        threading.excepthook = _thread_failed
        with signals_handled(stop_at_once), imports_restricted(everything):
            RenormCLI(words, footprint, everything, wide)
    except Exception as error:
        if refused(error):
            footprint.take_back()
        raise
    finally:
        threading.excepthook = threading.__excepthook__
        if torch.distributed.is_initialized():
            # left to the interpreter's exit, its threads now and then end the process with an abort
            torch.distributed.destroy_process_group()

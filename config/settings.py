"""What a merchant or headquarters sets: one TOML file, every key overridable as `JINGKA_SECTION__KEY`.

Unknown keys are errors that name the nearest known key, so a misspelt setting never silently means its default.
`docs/settings.md` lists every key; a test says which is missing there.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from config.errors import JingkaError, Retry, Words

SETTINGS_BYTES_MAX = 256 * 1024  # a hand-written file; a larger one is not a settings file
ENV_PREFIX = "JINGKA_"
SERVICE_DATA_DIR = Path("/var/lib/jingka")
PUBLIC_KEY = r"^[A-Za-z0-9+/]{43}=$"  # 32 bytes in base64: Ed25519, RFC 8032 section 5.1.5


class SettingsInvalid(JingkaError):
    """The settings file or an environment variable cannot be used."""

    code = "settings-invalid"
    retry = Retry.STOP
    what = Words("设置有误：{subject}：{reason}", "the settings are wrong: {subject}: {reason}")
    hint = Words("{suggestion}", "{suggestion}")


class SettingsMissing(JingkaError):
    """The settings file is not there or cannot be read."""

    code = "settings-missing"
    retry = Retry.STOP
    what = Words("读不到设置文件 {subject}：{reason}", "the settings file {subject} cannot be read: {reason}")
    hint = Words(
        "用 --config 指定设置文件，样例见 config/examples", "name it with --config; examples are in config/examples"
    )


class Section(BaseModel):
    """One table of the file: every key known, nothing changes after loading. Built with the whole, not one by one."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class TerminalSection(Section):
    """Who this terminal is and where its page listens."""

    merchant: str = Field(min_length=1, max_length=64)
    site: str = Field(min_length=1, max_length=64)
    name: str = Field(min_length=1, max_length=64)
    host: Literal["127.0.0.1", "::1", "localhost"] = "127.0.0.1"  # the page is on loopback only (DESIGN, "People")
    port: int = Field(default=8520, ge=0, le=65535)
    language: Literal["zh", "en"] = "zh"


class PcscReaderSection(Section):
    """A PC/SC reader; `*` takes every reader of this machine."""

    kind: Literal["pcsc"]
    name: str = "*"


class SerialReaderSection(Section):
    """A serial stripe reader."""

    kind: Literal["serial"]
    name: str = "stripe"
    device: str
    baud: int = Field(default=9600, ge=300, le=921_600)
    bytesize: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    frame: Literal["plain", "stx-etx-lrc", "idtech", "magtek", "ecr-55aa"] = "plain"


class Pn532ReaderSection(Section):
    """A PN532 NFC module on a serial port."""

    kind: Literal["pn532"]
    name: str = "nfc"
    device: str
    baud: int = Field(default=115_200, ge=300, le=921_600)


class WedgeReaderSection(Section):
    """A stripe reader that types what it reads."""

    kind: Literal["wedge"]
    name: str = "wedge"
    device: str


class VirtualReaderSection(Section):
    """The reader that ships with the product: cards are presented by a click in the demonstration."""

    kind: Literal["virtual"]
    name: str = "virtual"


ReaderSection = Annotated[
    PcscReaderSection | SerialReaderSection | Pn532ReaderSection | WedgeReaderSection | VirtualReaderSection,
    Field(discriminator="kind"),
]
READER_KINDS = ("pcsc", "serial", "pn532", "wedge", "virtual")


class IssuerSection(Section):
    """A range of leading digits whose cards may be member cards, both ends included."""

    name: str
    low: str = Field(pattern=r"^\d{6,10}$")
    high: str = Field(pattern=r"^\d{6,10}$")


class MembershipSection(Section):
    """The roll of members and the key that turns a card number into its token."""

    roll: Path
    changes: Path | None = None  # none: beside the roll, its name with `.changes` behind
    programme_key: Path
    issuers: tuple[IssuerSection, ...] = Field(min_length=1)


class OffersSection(Section):
    """The offer book, headquarters' register of vouchers, and what it allotted this terminal of citywide pools."""

    book: Path
    signed_by: str | None = Field(default=None, pattern=PUBLIC_KEY)  # no book without this key's signature
    vouchers: Path | None = None  # none: `vouchers.bin` in the data directory, once headquarters has sent one
    slices: Mapping[str, int] = Field(default_factory=dict)  # "offer/limit" -> units this terminal may give


class CounterSection(Section):
    """Times at the counter, and what else it may do."""

    presentation_s: int = Field(default=120, ge=10, le=3600)  # a swiped or tapped card stays on the page this long
    quote_s: int = Field(default=300, ge=30, le=3600)  # a quote is honoured this long
    settle_s: int = Field(default=1800, ge=60, le=86_400)  # authorised and never completed: cancelled after this
    session_idle_s: int = Field(default=4 * 3600, ge=60, le=86_400)
    fallback_s: int = Field(default=60, ge=10, le=600)  # after a chip failed, its stripe is taken for this long
    manual_entry: bool = False  # a card number may be typed with a manager's PIN


class AuthenticitySection(Section):
    """How chips are shown to be genuine (no key file: they are not), and what the merchant makes of it."""

    keys: Path | None = None
    accept: tuple[Literal["dda", "sda", "unverified", "failed", "stripe"], ...] = ("dda", "sda", "unverified", "stripe")


class HeadquartersSection(Section):
    """Where entries go. No URL: the terminal keeps everything until one is set."""

    url: str = Field(default="", pattern=r"^(https?://[^\s]+)?$")
    heartbeat_s: float = Field(default=3.0, ge=0.2, le=60)  # an outage is noticed in under 5 s (DESIGN, "Sync")


class DemoSection(Section):
    """The demonstration only: virtual cards on the page."""

    cards: bool = False
    presenter: Literal["virtual", "vpcd", "serial", "pn532", "wedge"] = "virtual"
    vpcd_port: int = Field(default=35963, ge=1, le=65535)


class LogSection(Section):
    """What the daemon writes about itself."""

    level: Literal["traffic", "debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class SupportSection(Section):
    """What a terminal keeps for a bug report."""

    reads_dir: Path | None = None  # each chip reading as a masked transcript (drivers.recording); None: none is kept


def default_data_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """`JINGKA_DATA_DIR`, else the service's directory when it is ours, else the user's."""
    if environment.get("JINGKA_DATA_DIR"):
        return Path(environment["JINGKA_DATA_DIR"])
    if "STATE_DIRECTORY" in environment or os.geteuid() == 0:
        return SERVICE_DATA_DIR
    return Path(environment.get("HOME", str(Path.home()))) / ".local/share/jingka"


class _TomlSettings(BaseSettings):
    """TOML first, environment over it; pydantic-settings does the merging."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)
    data_dir: Path = Field(default_factory=default_data_dir)
    log: LogSection = LogSection()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


SettingsT = TypeVar("SettingsT", bound=_TomlSettings)


class TerminalSettings(_TomlSettings):
    """Everything `jingka run` needs."""

    terminal: TerminalSection
    readers: tuple[ReaderSection, ...] = ()
    membership: MembershipSection
    offers: OffersSection
    counter: CounterSection = CounterSection()
    authenticity: AuthenticitySection = AuthenticitySection()
    headquarters: HeadquartersSection = HeadquartersSection()
    demo: DemoSection = DemoSection()
    support: SupportSection = SupportSection()

    @field_validator("readers")
    @classmethod
    def _readers_apart(cls, readers: tuple[ReaderSection, ...]) -> tuple[ReaderSection, ...]:
        """Two of one name cannot be told apart; two on one device take each other's cards, or read each card twice."""
        for place in ("name", "device"):
            told = [getattr(reader, place) for reader in readers if hasattr(reader, place)]
            twice = next((value for number, value in enumerate(told) if value in told[:number]), None)
            if twice is not None:
                raise ValueError(f"two readers have the {place} `{twice}`: each needs its own")
        if sum(reader.kind == "pcsc" for reader in readers) > 1 and any(reader.name == "*" for reader in readers):
            raise ValueError("a pcsc reader named `*` takes every PC/SC reader: no other beside it")
        return readers


class HqSection(Section):
    """The headquarters service. `names`: the host names it is reached by, beside `host` and loopback."""

    host: str = "127.0.0.1"
    names: tuple[str, ...] = ()
    port: int = Field(default=8600, ge=0, le=65535)
    database_url: str = ""  # empty: SQLite in the data directory
    workers: int = Field(default=1, ge=1, le=16)  # processes on one port; more than one needs PostgreSQL
    language: Literal["zh", "en"] = "zh"
    clock_skew_s_max: int = Field(default=300, ge=1, le=3600)
    code_life_s: int = Field(default=3600, ge=60, le=7 * 86_400)
    release_key: Path | None = None  # signs offer books; none: release.key in the data directory
    programme_key: Path | None = None  # turns card numbers into tokens; none: headquarters keeps no roll
    roll_jump_percent: float = Field(default=2.0, ge=0, le=100)  # a list that takes more cards away needs two people
    roll_changes_max: int = Field(default=100_000, ge=1, le=200_000)  # then terminals are given a new whole roll


class HqFileSettings(_TomlSettings):
    """Everything `jingka hq` needs."""

    hq: HqSection = HqSection()


class HqSettings(Section):
    """`HqFileSettings` flattened for the service; its table is `[hq]`, for `[headquarters]` is the terminal's."""

    data_dir: Path
    host: str
    names: tuple[str, ...] = ()
    port: int
    database_url: str
    workers: int = 1
    language: Literal["zh", "en"]
    clock_skew_s_max: int
    code_life_s: int
    release_key: Path | None = None
    programme_key: Path | None = None
    roll_jump_percent: float = 2.0
    roll_changes_max: int = 100_000
    log: LogSection = LogSection()


def load_terminal(path: Path) -> TerminalSettings:
    """The terminal's settings; relative paths are relative to the file. Raises `SettingsMissing`, `SettingsInvalid`."""
    settings = _load(path, TerminalSettings)
    base = path.resolve().parent
    membership = settings.membership
    return settings.model_copy(
        update={
            "membership": membership.model_copy(
                update={
                    "roll": base / membership.roll,
                    "changes": base / (membership.changes or f"{membership.roll}.changes"),
                    "programme_key": base / membership.programme_key,
                }
            ),
            "authenticity": settings.authenticity.model_copy(
                update={"keys": base / settings.authenticity.keys if settings.authenticity.keys else None}
            ),
            "offers": settings.offers.model_copy(
                update={
                    "book": base / settings.offers.book,
                    "vouchers": base / settings.offers.vouchers if settings.offers.vouchers else None,
                }
            ),
            "data_dir": base / settings.data_dir,
            "support": settings.support.model_copy(
                update={"reads_dir": base / settings.support.reads_dir if settings.support.reads_dir else None}
            ),
        }
    )


def load_hq(path: Path | None) -> HqSettings:
    """Headquarters' settings; no file means all defaults. Raises `SettingsMissing`, `SettingsInvalid`."""
    settings = _load(path, HqFileSettings)
    base = path.resolve().parent if path else Path.cwd()
    hq = settings.hq.model_dump()
    hq["release_key"] = base / settings.hq.release_key if settings.hq.release_key else None
    hq["programme_key"] = base / settings.hq.programme_key if settings.hq.programme_key else None
    return HqSettings(data_dir=base / settings.data_dir, log=settings.log, **hq)


def _load(path: Path | None, model: type[SettingsT]) -> SettingsT:
    table = _read_table(path) if path else {}
    _refuse_unknown_variables(os.environ)
    try:
        return model(**table)
    except ValidationError as error:
        raise _explain(error, model, str(path or "environment")) from None


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    """A misspelt `JINGKA_...` is an error too; one environment may serve both programs."""
    known = {*known_keys(TerminalSettings), *known_keys(HqFileSettings)}
    for variable in sorted(name for name in environment if name.startswith(ENV_PREFIX)):
        if variable.removeprefix(ENV_PREFIX).lower().replace("__", ".") not in known:
            raise _unknown("environment", variable, [_variable(key) for key in known])


def _variable(key: str) -> str:
    return ENV_PREFIX + key.upper().replace(".", "__")


def _read_table(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(SETTINGS_BYTES_MAX + 1)
    except OSError as error:
        raise SettingsMissing("read settings", str(path), reason=error.strerror) from error
    if len(raw) > SETTINGS_BYTES_MAX:
        raise _invalid(path, f"more than {SETTINGS_BYTES_MAX} bytes", "this is not a settings file")
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _invalid(path, str(error), "correct the line named above") from error


def _invalid(subject: object, reason: str, suggestion: str) -> SettingsInvalid:
    return SettingsInvalid("read settings", str(subject), reason=reason, suggestion=suggestion)


def _unknown(where: str, key: str, known: Iterable[str]) -> SettingsInvalid:
    near = difflib.get_close_matches(key, sorted(set(known)), n=1, cutoff=0.5)
    suggestion = f"did you mean `{near[0]}`?" if near else "see docs/settings.md"
    return _invalid(where, f"unknown key `{key}`", suggestion)


def _explain(error: ValidationError, model: type[BaseModel], source: str) -> SettingsInvalid:
    """One finding in a person's words, an unknown key first: it is often why another key is missing."""
    findings = error.errors(include_url=False, include_input=False)
    finding = min(findings, key=lambda each: each["type"] != "extra_forbidden")
    place = [str(part) for part in finding["loc"] if str(part) not in READER_KINDS]
    where = f"{source}: {'.'.join(place)}"
    if finding["type"] == "extra_forbidden":
        return _unknown(where, place[-1], (key.rpartition(".")[2] for key in known_keys(model)))
    return _invalid(where, finding["msg"].removeprefix("Value error, "), "see docs/settings.md")


def known_keys(model: type[BaseModel], prefix: str = "") -> dict[str, str]:
    """Every key a person may set, dotted, with its default as text; used by messages and by the documentation test."""
    keys: dict[str, str] = {}
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=False)
        shown = list(default) if isinstance(default, tuple) else default  # as TOML has it
        keys[prefix + name] = "required" if field.is_required() else str(shown)
        for inner in _models_in(field.annotation):
            keys.update(known_keys(inner, f"{prefix}{name}."))
    return keys


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]

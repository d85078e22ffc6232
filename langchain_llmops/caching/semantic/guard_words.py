"""Word lists of the guards: general English, and the trades that build software.

Sources: the opposites are direct antonym relations of WordNet 3.0 (Princeton
University, https://wordnet.princeton.edu), chosen by hand for words whose opposite
changes an answer, and, after the blank line, opposites of computing and business that a
dictionary lacks. Units are those of the International System of Units (SI brochure, 9th
edition), US customary units and ISO 4217 currencies. Reserved words are those of
Python, C, C++, Java, JavaScript, Rust and Go that are not English words too. Nothing
here was taken from a benchmark.

Words are given once, in their base form; `forms` makes the inflected ones.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "DIRECTIONAL",
    "NEGATIONS",
    "NUMBERS",
    "RESERVED",
    "SOFT_NEGATIONS",
    "STOP_WORDS",
    "SYMBOLS",
    "SYMMETRIC",
    "antonyms",
    "forms",
    "rivals",
    "units",
]

_OPPOSITES: Final = """
above/below absence/presence absent/present absolute/relative abstract/concrete
accelerate/decelerate accept/refuse accept/reject active/passive acute/obtuse
add/subtract admit/deny advantage/disadvantage alive/dead allow/deny allow/disallow
amateur/professional anode/cathode answer/question appreciation/depreciation
arrive/leave artificial/natural ascend/descend ascending/descending asleep/awake
asset/liability asynchronous/synchronous attach/detach attack/defend attract/repel
aunt/uncle back/front background/foreground backward/forward bad/good bear/bull
beautiful/ugly begin/end beginning/end best/worst better/worse big/little big/small
bind/unbind birth/death black/white block/unblock boil/freeze borrow/lend
borrower/lender bottom/top boy/girl brave/cowardly brother/sister buy/sell
capitalism/socialism cheap/expensive child/parent clean/dirty close/open closed/open
cold/hot comedy/tragedy complex/simple compress/decompress connect/disconnect
conservative/liberal consonant/vowel contract/expand cool/heat cool/warm credit/debit
creditor/debtor dangerous/safe dark/light daughter/son day/night decline/improvement
decode/encode decrease/increase decrement/increment deep/shallow defeat/victory
defend/prosecute defendant/plaintiff defense/prosecution deflation/inflation
demand/supply demote/promote deposit/withdraw difficult/easy disable/enable
discourage/encourage disengage/engage divide/multiply domestic/foreign down/up
downgrade/upgrade download/upload downstairs/upstairs downstream/upstream
downward/upward dry/wet early/late east/west eastern/western egress/ingress
employee/employer empty/fill empty/full enter/exit even/odd evil/good exclude/include
exclusive/inclusive exhale/inhale explicit/implicit export/import exterior/interior
external/internal extrovert/introvert fail/pass fail/succeed failure/success fall/rise
false/true far/near fast/slow fat/thin father/mother female/male feminine/masculine
few/many fewer/more find/lose finish/start fire/hire first/last float/sink
follow/precede follower/leader forget/remember former/latter freeze/unfreeze
friendly/hostile front/rear future/past gain/loss general/specific give/take gross/net
guilty/innocent happiness/sadness happy/unhappy hard/soft harden/soften hate/love
head/tail heaven/hell heavy/light heterogeneous/homogeneous hide/show high/low
horizontal/vertical husband/wife hyperglycemia/hypoglycemia hypertension/hypotension
ignore/notice immutable/mutable incoming/outgoing indoor/outdoor inferior/superior
inner/outer insecure/secure inside/outside inward/outward junior/senior king/queen
large/small least/most left/right lengthen/shorten less/more lock/unlock long/short
loose/tight lose/win loser/winner lower/raise lowercase/uppercase major/minor
majority/minority man/woman maximal/minimal maximise/minimise maximize/minimize
maximum/minimum mental/physical minus/plus multiple/single narrow/wide narrow/widen
negative/positive nephew/niece new/old noisy/quiet north/south northern/southern off/on
often/rarely old/young open/shut optimist/pessimist overestimate/underestimate
pack/unpack past/present peace/war plural/singular poor/rich poverty/wealth
precede/succeed prefix/suffix primary/secondary private/public pull/push
qualitative/quantitative relax/tense retail/wholesale right/wrong rough/smooth
rural/urban short/tall shout/whisper sit/stand smart/stupid sour/sweet start/stop
strength/weakness strengthen/weaken strong/weak sunrise/sunset thick/thin thicken/thin
unwrap/wrap useful/useless wired/wireless

accept/decline activate/deactivate actor/actress add/delete add/remove after/before
ahead/behind all/none allocate/deallocate allocate/free allocate/release allow/ban
allow/block allow/forbid allow/prevent allow/prohibit allowlist/denylist always/never
analog/digital ancient/modern apart/together appear/vanish append/prepend approve/deny
approve/refuse approve/reject arrival/departure arrive/depart async/sync
backend/frontend bearish/bullish begin/stop beginner/expert bilateral/unilateral
billable/free bitter/sweet blacklist/whitelist breadth/depth bride/groom bright/dark
buffer/flush buy/lease buyer/seller cause/cure ceiling/floor client/server cold/warm
collapse/expand column/row combine/separate commit/rollback compile/interpret
compress/extract consumer/producer contain/exclude contain/lack copy/move cover/exclude
create/delete create/destroy create/remove dad/mom death/life decrypt/encrypt
delete/insert dense/sparse deny/grant deploy/undeploy deposit/withdrawal
deprecate/introduce dequeue/enqueue deserialize/serialize destination/source die/live
difference/similarity diligent/lazy dividend/divisor domestic/international
double/triple downlink/uplink downside/upside drop/raise dump/load dynamic/static
eager/lazy easy/hard elder/younger enact/repeal end/start enemy/friend enter/leave
entrance/exit entry/exit everybody/nobody everyone/nobody everything/nothing
expense/income expense/revenue expire/renew extend/shorten fetch/push
following/preceding freeze/thaw full/part gain/lose gentleman/lady get/post get/set
give/receive give/withhold global/local globally/locally grant/refuse grant/revoke
greater/less greater/smaller grow/shrink half/double half/full happy/sad hate/like
higher/lower highest/lowest in/out inbound/outbound include/omit increase/cut
increase/decline increase/drop increase/reduce input/output insert/remove install/remove
install/uninstall join/leave join/quit landlord/tenant landscape/portrait large/little
larger/smaller largest/smallest leave/remain legal/banned lessee/lessor load/unload
local/remote login/logout loosen/tighten loss/profit loud/quiet lower/upper
mandatory/optional master/slave merge/split most/fewest mount/unmount mute/unmute
newer/older newest/oldest nobody/somebody noun/verb offline/online offset/onset
old/newest oldest/youngest opaque/transparent open/proprietary optional/required
over/under overweight/underweight pause/resume payable/receivable payee/payer
permanent/temporary permit/ban permit/forbid permit/prohibit permit/refuse plug/unplug
polite/rude pop/push post/pre postorder/preorder primary/replica prince/princess
publisher/subscriber punish/reward queue/stack quick/slow raise/cut raise/reduce
read/write reader/writer receive/send received/sent receiver/sender recipient/sender
redo/undo register/unregister relax/tighten resume/suspend rise/drop save/spend
save/waste scalar/vector shutdown/startup stateful/stateless student/teacher
subscribe/unsubscribe unzip/zip victory/loss warm/cool weekday/weekend with/without
"""

_IRREGULAR: Final = """
ban:banned,banning permit:permitted,permitting
begin:began,begun bind:bound break:broke,broken buy:bought child:children die:died,dying
fall:fell,fallen find:found forget:forgot,forgotten freeze:froze,frozen
freeze:freezing get:got,gotten,getting give:gave,given grow:grew,grown hide:hid,hidden
leave:left lend:lent lie:lay,lain lose:lost man:men pay:paid put:putting read:reads
rise:rose,risen sell:sold send:sent set:setting shrink:shrank,shrunk sink:sank,sunk
sit:sat,sitting spend:spent split:splitting stand:stood take:took,taken
undo:undid,undone wife:wives win:won,winning withdraw:withdrew,withdrawn
withhold:withheld woman:women write:wrote,written
"""

# A question about one of these is not a question about another one.
_RIVALS: Final = """
monday tuesday wednesday thursday friday saturday sunday
january february april june july august september october november december
spring summer autumn winter
morning afternoon evening night
breakfast lunch dinner
yesterday today tomorrow
hourly daily weekly monthly quarterly yearly
red orange yellow green blue purple brown pink black white grey
gold silver copper bronze platinum iron steel aluminium lithium
north south east west
venus earth mars jupiter saturn uranus neptune pluto
cat dog horse cow pig sheep goat chicken
boy girl
husband wife
mother father
python java javascript typescript ruby perl php rust golang kotlin swift scala haskell
mysql postgresql postgres sqlite mongodb redis cassandra mariadb
windows linux macos android ios ubuntu debian fedora
aws azure gcp
chrome firefox safari opera
tuple list dict set frozenset
append extend insert pop
classmethod staticmethod property
numerator denominator
square cube
mean median mode variance
proton neutron electron
bacteria virus fungus
vertex edge face
addition subtraction multiplication division
sine cosine tangent
int float str bool complex bytes bytearray
christian muslim hindu jewish buddhist
english french german spanish italian chinese japanese russian arabic hindi korean
europe africa asia australia antarctica
visa mastercard
pdf docx xlsx csv json xml yaml toml html markdown
png jpg jpeg gif svg webp
"""

_UNITS: Final = """
temperature celsius:centigrade fahrenheit kelvin
length millimeter:mm,millimetre centimeter:cm,centimetre
length meter:metre kilometer:km,kilometre
length inch:inches foot:feet,ft yard:yd mile:mi
area acre hectare
mass milligram:mg gram kilogram:kg,kilo pound:lb ounce:oz stone ton:tonne
volume milliliter:ml,millilitre liter:litre gallon pint quart
volume teaspoon:tsp tablespoon:tbsp
time nanosecond:ns microsecond:us millisecond:ms second:sec minute:min hour:hr
time day week month year:yr decade century:centuries
frequency hertz:hz kilohertz:khz megahertz:mhz gigahertz:ghz
speed mph kmh:kph knot
data bit byte kilobyte:kb megabyte:mb,mib gigabyte:gb,gib terabyte:tb,tib
rate kbps mbps gbps
power watt kilowatt:kw megawatt:mw horsepower:hp
energy joule calorie:cal kilocalorie:kcal kwh
electricity volt ampere:amp ohm
pressure pascal:pa psi atmosphere:atm
currency dollar:usd,$ euro:eur,€ sterling:gbp,£ yen:jpy,¥ rupee:inr,₹ yuan:cny,rmb
currency cent franc:chf cad aud bitcoin:btc ethereum:eth peso ruble krw
proportion percent:% permille:‰
base binary decimal hexadecimal:hex octal
clock utc gmt est pst cet ist
"""

SYMBOLS: Final[Mapping[str, tuple[str, str]]] = {
    "m": ("length", "meter"),
    "g": ("mass", "gram"),
    "l": ("volume", "liter"),
    "s": ("time", "second"),
    "h": ("time", "hour"),
    "c": ("temperature", "celsius"),
    "f": ("temperature", "fahrenheit"),
    "w": ("power", "watt"),
    "v": ("electricity", "volt"),
}
"""Symbols that are a unit only right behind a number."""

NUMBERS: Final[Mapping[str, str]] = {
    word: str(number)
    for number, words in {
        0: "zero",
        1: "first",
        2: "two second",
        3: "three third",
        4: "four fourth",
        5: "five fifth",
        6: "six sixth",
        7: "seven seventh",
        8: "eight eighth",
        9: "nine ninth",
        10: "ten tenth",
        11: "eleven eleventh",
        12: "twelve twelfth dozen",
        13: "thirteen",
        14: "fourteen",
        15: "fifteen",
        16: "sixteen",
        17: "seventeen",
        18: "eighteen",
        19: "nineteen",
        20: "twenty",
        30: "thirty",
        40: "forty",
        50: "fifty",
        60: "sixty",
        70: "seventy",
        80: "eighty",
        90: "ninety",
        100: "hundred",
        1_000: "thousand",
        1_000_000: "million",
        1_000_000_000: "billion",
        1_000_000_000_000: "trillion",
    }.items()
    for word in words.split()
}
"""Number words; "one" is left out, being a pronoun far more often than a count."""

NEGATIONS: Final = frozenset(
    """
    not never no none nobody nothing nowhere neither nor without cannot cant dont wont
    isnt arent wasnt werent doesnt didnt havent hasnt hadnt couldnt wouldnt shouldnt
    mustnt neednt aint non sans
    """.split()  # noqa: SIM905 - a list of words reads better as words
)
"""Words that turn a statement into its opposite."""

SOFT_NEGATIONS: Final = frozenset(
    """
    avoid prevent stop quit cease refuse fail lack unable except excluding exclude
    hardly rarely seldom barely scarcely impossible instead
    """.split()  # noqa: SIM905 - a list of words reads better as words
)
"""Words that negate by their meaning: a pure insertion of one changes the question."""

DIRECTIONAL: Final = frozenset(
    """
    to in into of onto from than before after over under above below until through
    toward towards against by as for if because causes
    """.split()  # noqa: SIM905 - a list of words reads better as words
)
"""Words whose two sides do not change places freely."""

SYMMETRIC: Final = frozenset(
    """
    and or vs versus nor between & compare compares compared comparing comparison differ
    differs different difference differences similar similarity equal same
    """.split()  # noqa: SIM905 - a list of words reads better as words
)
"""Words whose two sides may change places: the difference between A and B."""

STOP_WORDS: Final = frozenset(
    """
    a about am an and any are as at be been being but by can could did do does doing for
    from had has have having he her here hers him his how i if in into is it its itself
    just like may me might mine must my of on one ones or our ours please shall she
    should so some such than that the their theirs them then there these they this those
    to too us very was way ways we were what whats when where whether which while who
    whom whose why will with would you your yours yourself tell explain know want need
    get got make really also am im ive id ill vs versus between & ok okay thanks
    """.split()  # noqa: SIM905 - a list of words reads better as words
)
"""Words that carry no topic of their own."""

RESERVED: Final = frozenset(
    """
    nonlocal elif async await def lambda isinstance issubclass kwargs args enum struct
    typedef const constexpr goto null nil nullptr nan undefined sizeof typeof instanceof
    malloc calloc realloc foreach impl mut pub fn println printf scanf strcmp chmod
    chown grep sed awk stdin stdout stderr mutex semaphore volatile inline extern
    """.split()  # noqa: SIM905 - a list of words reads better as words
)
"""Reserved words and names of programming that are not English words."""


def forms(word: str) -> Iterator[str]:
    """Yield a base form and what English inflection makes of it (and some more)."""
    yield word
    yield from (word + ending for ending in ("s", "es", "ed", "ing", "er", "est", "ly"))
    if word.endswith("e"):
        stem = word[:-1]
        yield from (stem + ending for ending in ("ed", "ing", "er", "est", "ion"))
    if word.endswith("y"):
        yield from (word[:-1] + ending for ending in ("ies", "ied", "ier", "iest"))
    if word[-1:] not in "aeiouywxs" and word[-2:-1] in tuple("aeiou"):
        yield from (word + word[-1] + ending for ending in ("ed", "ing", "er", "est"))


@cache
def antonyms() -> Mapping[str, frozenset[str]]:
    """Return each form of a word with an opposite, and all forms of its opposites."""
    irregular = {
        base: others.split(",")
        for base, others in (entry.split(":") for entry in _IRREGULAR.split())
    }

    def family(word: str) -> set[str]:
        return {*forms(word), *irregular.get(word, ())}

    found: dict[str, set[str]] = {}
    for pair in _OPPOSITES.split():
        one, other = (family(word) for word in pair.split("/"))
        for word in one:
            found.setdefault(word, set()).update(other)
        for word in other:
            found.setdefault(word, set()).update(one)
    return {word: frozenset(opposites) for word, opposites in found.items()}


@cache
def rivals() -> Mapping[str, frozenset[int]]:
    """Return each word of a list of rivals, and which lists it stands on."""
    found: dict[str, set[int]] = {}
    for number, line in enumerate(_RIVALS.strip().splitlines()):
        for word in line.split():
            for form in (word, word + "s"):
                found.setdefault(form, set()).add(number)
    return {word: frozenset(lists) for word, lists in found.items()}


@cache
def units() -> Mapping[str, tuple[str, str]]:
    """Return each name of a unit, with its dimension and its one name."""
    found: dict[str, tuple[str, str]] = {}
    for line in _UNITS.strip().splitlines():
        dimension, *entries = line.split()
        for entry in entries:
            name, _, others = entry.partition(":")
            for word in (name, name + "s", *filter(None, others.split(","))):
                found[word] = (dimension, name)
                found[word + "s"] = (dimension, name)
    return found

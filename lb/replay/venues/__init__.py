"""Which venues there are fakes of; what each says and sends is its own file's business."""

from collections.abc import Callable

from lb.replay.fake import Fake
from lb.replay.venue_recording import VenueRecording
from lb.replay.venues.binance import Binance, RecordedBinance
from lb.replay.venues.bitstamp import Bitstamp, RecordedBitstamp
from lb.replay.venues.coinbase import Coinbase
from lb.replay.venues.kraken import Kraken

FAKES: dict[str, type[Fake]] = {fake.name: fake for fake in (Binance, Bitstamp, Coinbase, Kraken)}

PLAYERS: dict[str, Callable[[VenueRecording], Fake]] = {"binance": RecordedBinance, "bitstamp": RecordedBitstamp}
"""Those that also play recordings."""

"""Which venues there are fakes of; what each says and sends is its own file's business."""

from lb.replay.fake import Fake
from lb.replay.venues.binance import Binance
from lb.replay.venues.bitstamp import Bitstamp
from lb.replay.venues.coinbase import Coinbase
from lb.replay.venues.kraken import Kraken

FAKES: dict[str, type[Fake]] = {fake.name: fake for fake in (Binance, Bitstamp, Coinbase, Kraken)}

"""What the OMS tells everybody: orders, trades, positions, accounts and contracts, each under its suffixed topic.

Invariants: nothing is published that was not saved before (the caller sees to it); a snapshot is built only where
somebody listens.
"""

from __future__ import annotations

from foxtrot.core import events
from foxtrot.core.engine import EngineOwner
from foxtrot.core.event_engine import EventEngine, Topic
from foxtrot.core.market import MarketView
from foxtrot.core.objects import ContractData, OrderData
from foxtrot.server.engines.oms_life import OmsLife
from foxtrot.server.oms.account_manager import AccountManager
from foxtrot.server.oms.position_leg import PositionLeg
from foxtrot.server.persistence import Persistence


class OmsPublisher(OmsLife):
    """Publishing half of ``OmsEngine``.

    Args:
        main_engine: the owner.
        event_engine: the dispatcher.
        persistence: where state is kept.
    """

    accounts: AccountManager
    market: MarketView

    def __init__(
        self, main_engine: EngineOwner, event_engine: EventEngine, persistence: Persistence
    ) -> None:
        super().__init__(main_engine, event_engine, persistence)
        self._topics: dict[str, tuple[Topic, Topic]] = {}
        self._position_topics: dict[str, tuple[Topic, Topic]] = {}

    def _topics_of(self, strategy: str) -> tuple[Topic, Topic]:
        """The order and trade topics of a strategy."""
        topics = self._topics.get(strategy)
        if topics is None:
            resolve = self.event_engine.topic
            topics = (
                resolve(events.EVENT_ORDER + strategy),
                resolve(events.EVENT_TRADE + strategy),
            )
            self._topics[strategy] = topics
        return topics

    def _publish_order(self, order: OrderData) -> None:
        """Queue an order's state; done thrice an order, so without a further call."""
        topic = (self._topics.get(order.strategy) or self._topics_of(order.strategy))[0]
        if topic.handlers:
            self.event_engine.queue.append((topic, order))

    def _publish_position(self, leg: PositionLeg) -> None:
        """Publish a position and its account, built only where somebody listens."""
        topics = self._position_topics.get(leg.key)
        code = leg.instrument.currency.code
        if topics is None:
            resolve = self.event_engine.topic
            topics = (
                resolve(events.EVENT_POSITION + leg.instrument.vt_symbol),
                resolve(f"{events.EVENT_ACCOUNT}{leg.adapter}.{code}"),
            )
            self._position_topics[leg.key] = topics
        position_topic, account_topic = topics
        if position_topic.handlers:
            mark = self.market.price(leg.instrument.vt_symbol)
            self.event_engine.publish(position_topic, leg.snapshot(mark, self.clock.now()))
        if account_topic.handlers:
            account = self.accounts.snapshot(leg.adapter, code, leg.ts_event)
            self.event_engine.publish(account_topic, account)

    def _publish_account(self, adapter: str, code: str, ts: int) -> None:
        """Publish an account as of ``ts`` (ns)."""
        topic = self.event_engine.topic(f"{events.EVENT_ACCOUNT}{adapter}.{code}")
        self.event_engine.publish(topic, self.accounts.snapshot(adapter, code, ts))

    def _publish_contract(self, contract: ContractData) -> None:
        """Publish a contract as it was taken up."""
        topic = self.event_engine.topic(events.EVENT_CONTRACT + contract.vt_symbol)
        self.event_engine.publish(topic, contract)

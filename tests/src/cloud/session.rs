//! One connection of the stand-in, from CONNECT to its end.

use super::codec::{self, Packet};
use super::{Connect, Order, Point, Publish, Shared};
use anyhow::{Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio_rustls::server::TlsStream;

struct Session<'a> {
    stream: TlsStream<TcpStream>,
    shared: &'a Shared,
    client_id: String,
    level: u8,
    filters: Vec<String>,
    next_pkid: u16,
}

/// Serves one connection until either side ends it; a cut or a broken rule just ends it.
pub(super) async fn serve(stream: TlsStream<TcpStream>, shared: &Shared) {
    let mut session = Session { stream, shared, client_id: String::new(), level: 0, filters: Vec::new(), next_pkid: 0 };
    let orders = shared.orders.subscribe();
    // Whatever ended it, the client finds out by the connection's end, and the test by what was seen.
    let _ = session.run(orders).await;
    if session.level != 0 {
        shared.saw(|seen| seen.open = seen.open.saturating_sub(1));
    }
}

// === impl Session ===

impl Session<'_> {
    async fn run(&mut self, mut orders: broadcast::Receiver<Order>) -> Result<()> {
        self.pass(Point::Handshake)?;
        let mut buffer = BytesMut::with_capacity(4096);
        loop {
            while let Some(packet) = codec::take(&mut buffer, self.level)? {
                self.handle(packet).await?;
            }
            tokio::select! {
                read = self.stream.read_buf(&mut buffer) => ensure!(read? > 0, "end of stream"),
                order = orders.recv() => self.obey(order?).await?,
            }
        }
    }

    async fn handle(&mut self, packet: Packet) -> Result<()> {
        match packet {
            Packet::Connect { client_id, level, clean, keep_alive } => {
                self.connect(client_id, level, clean, keep_alive).await
            }
            Packet::Publish { topic, payload, qos, pkid } => self.publish(topic, payload, qos, pkid).await,
            Packet::Subscribe { pkid, filters } => self.subscribe(pkid, filters).await,
            Packet::Unsubscribe { pkid, filters } => {
                self.filters.retain(|filter| !filters.contains(filter));
                self.send(codec::unsuback(self.level, pkid, filters.len())).await
            }
            Packet::PubAck => Ok(()),
            Packet::PingReq => self.send(codec::pingresp()).await,
            Packet::Disconnect => {
                self.shared.saw(|seen| seen.disconnects += 1);
                bail!("the client said DISCONNECT")
            }
        }
    }

    async fn connect(&mut self, client_id: String, level: u8, clean: bool, keep_alive: u16) -> Result<()> {
        self.client_id.clone_from(&client_id);
        let connect = Connect { client_id, level, clean, keep_alive, at: tokio::time::Instant::now() };
        let known = self.shared.seen.borrow().connects.iter().any(|one| one.client_id == self.client_id && !one.clean);
        self.shared.saw(|seen| seen.connects.push(connect));
        self.pass(Point::Connect)?;
        let (refusal, receive_max, max_packet, only_v311) = {
            let script = self.shared.script();
            (script.refuse_connect, script.receive_maximum, script.maximum_packet, script.only_v311)
        };
        if only_v311 && level == 5 {
            self.send(codec::connack(4, false, 1, None, None)).await?;
            self.stream.shutdown().await?;
            bail!("not spoken here: MQTT 5");
        }
        if let Some(code) = refusal {
            self.send(codec::connack(level, false, code, None, None)).await?;
            self.stream.shutdown().await?;
            bail!("refused");
        }
        self.level = level;
        self.shared.saw(|seen| seen.open += 1);
        self.send(codec::connack(level, known && !clean, 0, receive_max, max_packet)).await?;
        self.pass(Point::Connack)
    }

    async fn publish(&mut self, topic: String, payload: Bytes, qos: u8, pkid: u16) -> Result<()> {
        self.pass(Point::Publish)?;
        let (refusal, closes, withheld) = {
            let script = self.shared.script();
            let refusal = script.refuse_publish.get(&topic).copied();
            (refusal, script.close_on_publish.get(&topic).copied(), script.withhold_puback)
        };
        if let Some(reason) = closes {
            return self.close(reason).await;
        }
        if let Some(reason) = refusal {
            if self.level == 5 {
                return self.send(codec::puback(5, pkid, reason)).await;
            }
            bail!("MQTT 3.1.1 can only refuse a PUBLISH by closing");
        }
        let publish = Publish { client_id: self.client_id.clone(), topic, payload, qos };
        self.shared.saw(|seen| seen.publishes.push(publish));
        self.pass(Point::Recorded)?;
        if qos == 1 && !withheld {
            self.send(codec::puback(self.level, pkid, 0)).await?;
            self.pass(Point::Acknowledged)?;
        }
        Ok(())
    }

    async fn subscribe(&mut self, pkid: u16, filters: Vec<String>) -> Result<()> {
        self.pass(Point::Subscribe)?;
        let refused = self.shared.script().refuse_subscribe.clone();
        let mut reasons = Vec::with_capacity(filters.len());
        for filter in &filters {
            let reason = refused.get(filter).copied().unwrap_or(1);
            if reason <= 1 {
                self.filters.push(filter.clone());
            }
            // MQTT 3.1.1 knows one failure only.
            reasons.push(if self.level == 5 || reason <= 1 { reason } else { 0x80 });
        }
        self.shared.saw(|seen| seen.subscriptions.extend(filters));
        self.send(codec::suback(self.level, pkid, &reasons)).await
    }

    async fn obey(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Publish { topic, payload } => {
                if self.filters.contains(&topic) {
                    self.next_pkid = self.next_pkid.checked_add(1).unwrap_or(1);
                    self.send(codec::publish(self.level, &topic, &payload, self.next_pkid)).await?;
                }
                Ok(())
            }
            Order::Disconnect(reason) => self.close(Some(reason)).await,
            Order::Drop => bail!("told to drop the connection"),
        }
    }

    async fn close(&mut self, reason: Option<u8>) -> Result<()> {
        if let (Some(reason), 5) = (reason, self.level) {
            self.send(codec::disconnect(reason)).await?;
        }
        self.stream.shutdown().await?;
        bail!("told to close the connection")
    }

    async fn send(&mut self, packet: Bytes) -> Result<()> {
        self.stream.write_all(&packet).await?;
        Ok(self.stream.flush().await?)
    }

    /// Fails if the test wants the connection cut at this point.
    fn pass(&self, point: Point) -> Result<()> {
        ensure!(!self.shared.script().passes(point), "cut at {point:?}");
        Ok(())
    }
}

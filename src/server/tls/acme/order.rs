//! One order, from the account to the certificate (RFC 8555 section 7.1). Promises: what is refused for a nonce is asked
//! again (section 6.5), nothing else is. Must not know when an order is due.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use instant_acme::Account;
use instant_acme::AuthorizationStatus;
use instant_acme::ChallengeType;
use instant_acme::Error;
use instant_acme::ExternalAccountKey;
use instant_acme::Identifier;
use instant_acme::NewAccount;
use instant_acme::NewOrder;
use instant_acme::Order;
use instant_acme::OrderStatus;
use instant_acme::Problem;
use instant_acme::RetryPolicy;
use rcgen::CertificateParams;
use rcgen::DistinguishedName;
use rcgen::KeyPair;

use crate::server::tls::acme::Challenges;
use crate::server::tls::acme::Opened;
use crate::server::tls::acme::Proof;
use crate::server::tls::acme::Settings;
use crate::server::tls::acme::Store;
use crate::server::tls::acme::wire::Wire;

/// How often a refused nonce is followed by another try; the client has tried three times by then.
const NONCES: usize = 8;
/// For the authority to look at proofs, and then to sign.
const POLLS: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_mins(3));

/// Does one step, again where the authority disliked its nonce.
macro_rules! patiently {
    ($step:expr) => {{
        let mut tries = 0;
        loop {
            match $step.await {
                Err(error) if tries < NONCES && is_of_type(&error, "badNonce") => tries += 1,
                outcome => break outcome,
            }
        }
    }};
}

/// A certificate with those between it and its authority, and its key, both in PEM.
pub(super) struct Issued {
    pub(super) chain: String,
    pub(super) key: String,
}

/// Orders one certificate for all names.
pub(super) async fn obtain(settings: &Settings, store: &Store, wire: &Wire, challenges: &Challenges) -> Result<Issued, Error> {
    let account = account(settings, store, wire).await?;
    let names: Vec<Identifier> = settings.domains.iter().cloned().map(Identifier::Dns).collect();
    let mut order = match patiently!(account.new_order(&NewOrder::new(&names))) {
        Err(error) if is_of_type(&error, "accountDoesNotExist") => {
            store.forget_account();
            return Err(error);
        }
        order => order?,
    };
    // Closed again when this function returns, however it does.
    let mut opened = challenges.open();
    patiently!(prove(&mut order, settings.proof, &mut opened))?;
    match patiently!(order.poll_ready(&POLLS)) {
        Ok(OrderStatus::Ready) => {}
        outcome => return Err(reason(&mut order).await.or(outcome.err()).unwrap_or(Error::Str("the order became invalid"))),
    }
    let key = KeyPair::generate().map_err(|error| Error::Other(error.into()))?;
    let csr = request(&settings.domains, &key).map_err(|error| Error::Other(error.into()))?;
    patiently!(order.finalize_csr(&csr))?;
    let chain = patiently!(order.poll_certificate(&POLLS))?;
    Ok(Issued { chain, key: key.serialize_pem() })
}

/// The account that is kept, or a new one.
async fn account(settings: &Settings, store: &Store, wire: &Wire) -> Result<Account, Error> {
    let builder = || Account::builder_with_http(Box::new(wire.clone()));
    if let Some(kept) = store.account() {
        return builder().from_credentials(kept).await;
    }
    let outside = settings.external_account.as_ref().map(|outside| {
        let text = std::fs::read_to_string(&outside.key_file).map_err(|error| Error::Other(error.into()))?;
        let key = BASE64_URL_SAFE_NO_PAD.decode(text.trim().trim_end_matches('=')).map_err(|error| Error::Other(error.into()))?;
        Ok::<_, Error>(ExternalAccountKey::new(outside.id.clone(), &key))
    });
    let outside = outside.transpose()?;
    let contact: Vec<&str> = settings.contact.as_deref().into_iter().collect();
    let asked = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = patiently!(builder().create(&asked, settings.directory.to_string(), outside.as_ref()))?;
    store.keep_account(&credentials).map_err(|error| Error::Other(error.into()))?;
    Ok(account)
}

/// Opens a proof for each name that is not proved yet, and says so.
async fn prove(order: &mut Order, proof: Proof, opened: &mut Opened) -> Result<(), Error> {
    let mut authorizations = order.authorizations();
    while let Some(next) = authorizations.next().await {
        let mut authorization = next?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let kind = match proof {
            Proof::TlsAlpn => ChallengeType::TlsAlpn01,
            Proof::Http => ChallengeType::Http01,
        };
        let mut challenge = authorization.challenge(kind).ok_or(Error::Str("the authority offers no proof of this kind"))?;
        if opened.announced.contains(&challenge.token) {
            continue;
        }
        let answer = challenge.key_authorization();
        match (proof, challenge.identifier().identifier) {
            (Proof::TlsAlpn, Identifier::Dns(name)) => {
                opened.prove_by_tls(name, answer.digest().as_ref()).map_err(Error::Other)?;
            }
            (Proof::Http, _) => opened.prove_by_http(&challenge.token, answer.as_str()),
            (Proof::TlsAlpn, _) => return Err(Error::Str("the authority asks for another name than was ordered")),
        }
        challenge.set_ready().await?;
        let token = challenge.token.clone();
        opened.announced.push(token);
    }
    Ok(())
}

/// Why a proof was not accepted, in the authority's words.
async fn reason(order: &mut Order) -> Option<Error> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = patiently!(refreshed(&mut authorization)) else { continue };
        if let Some(problem) = state {
            return Some(Error::Api(problem));
        }
    }
    None
}

async fn refreshed(authorization: &mut instant_acme::AuthorizationHandle<'_>) -> Result<Option<Problem>, Error> {
    let state = authorization.refresh().await?;
    Ok(state.challenges.iter().find_map(|challenge| challenge.error.clone()))
}

/// What is to be signed: the names, and no word more.
fn request(names: &[String], key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}

/// Whether the authority refused for this reason (RFC 8555 section 6.7).
fn is_of_type(error: &Error, kind: &str) -> bool {
    let Error::Api(problem) = error else { return false };
    problem.r#type.as_deref().and_then(|kind| kind.strip_prefix("urn:ietf:params:acme:error:")) == Some(kind)
}

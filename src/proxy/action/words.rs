//! What our own pages say, in the visitor's language. Must not know pages.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

/// The sentences of one language.
#[derive(Debug)]
pub(super) struct Words {
    /// Its tag (RFC 5646).
    pub(super) tag: &'static str,
    /// Above a challenge.
    pub(super) moment: &'static str,
    /// Below that.
    pub(super) checking: &'static str,
    /// Where a challenge needs a script and none runs.
    pub(super) script: &'static str,
    /// Above what follows.
    pub(super) cookies: &'static str,
    /// Where cookies are refused.
    pub(super) allow: &'static str,
    /// What leads back.
    pub(super) again: &'static str,
    /// Above a refusal.
    pub(super) closed: &'static str,
    /// Below that.
    pub(super) sorry: &'static str,
}

const LANGUAGES: [Words; 4] = [
    Words {
        tag: "en",
        moment: "One moment, please",
        checking: "The shop opens as soon as your browser has been checked.",
        script: "Please turn on JavaScript for this shop and load the page again.",
        cookies: "Cookies are needed here",
        allow: "Please allow cookies for this shop. Without them it cannot be shown to you.",
        again: "Try again",
        closed: "This page cannot be shown",
        sorry: "The shop did not accept this request. If you think this is a mistake, please contact the shop.",
    },
    Words {
        tag: "de",
        moment: "Einen Moment bitte",
        checking: "Der Shop öffnet sich, sobald Ihr Browser geprüft ist.",
        script: "Bitte schalten Sie JavaScript für diesen Shop ein und laden Sie die Seite neu.",
        cookies: "Hier werden Cookies gebraucht",
        allow: "Bitte erlauben Sie Cookies für diesen Shop. Ohne sie kann er nicht angezeigt werden.",
        again: "Noch einmal versuchen",
        closed: "Diese Seite kann nicht angezeigt werden",
        sorry: "Der Shop hat diese Anfrage nicht angenommen. Wenn Sie das für einen Fehler halten, wenden Sie sich bitte an den Shop.",
    },
    Words {
        tag: "fr",
        moment: "Un instant, s’il vous plaît",
        checking: "La boutique s’ouvre dès que votre navigateur est vérifié.",
        script: "Veuillez activer JavaScript pour cette boutique et recharger la page.",
        cookies: "Les cookies sont nécessaires ici",
        allow: "Veuillez autoriser les cookies pour cette boutique. Sans eux, elle ne peut pas s’afficher.",
        again: "Réessayer",
        closed: "Cette page ne peut pas être affichée",
        sorry: "La boutique n’a pas accepté cette demande. Si vous pensez qu’il s’agit d’une erreur, veuillez contacter la boutique.",
    },
    Words {
        tag: "es",
        moment: "Un momento, por favor",
        checking: "La tienda se abrirá en cuanto se haya comprobado su navegador.",
        script: "Active JavaScript para esta tienda y vuelva a cargar la página.",
        cookies: "Aquí se necesitan cookies",
        allow: "Permita las cookies para esta tienda. Sin ellas no se puede mostrar.",
        again: "Intentar de nuevo",
        closed: "Esta página no se puede mostrar",
        sorry: "La tienda no ha aceptado esta solicitud. Si cree que se trata de un error, póngase en contacto con la tienda.",
    },
];

/// The words that a visitor understands best, by `Accept-Language` (RFC 9110 section 12.5.4); English without any.
pub(super) fn of(headers: &HeaderMap) -> &'static Words {
    let [english, ..] = &LANGUAGES;
    let field = headers.get(ACCEPT_LANGUAGE).and_then(|field| field.to_str().ok()).unwrap_or_default();
    let mut best = (english, 0.0);
    for item in field.split(',').take(32) {
        let mut parts = item.split(';').map(str::trim);
        let tag = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0));
        let primary = tag.split('-').next().unwrap_or_default();
        let known = LANGUAGES.iter().find(|words| words.tag.eq_ignore_ascii_case(primary));
        if let Some(words) = known.filter(|_| weight > best.1) {
            best = (words, weight);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_language_that_is_wanted_most_of_those_known_is_spoken() {
        for (wanted, spoken) in [
            ("de-DE,de;q=0.9,en;q=0.8", "de"),
            ("it, en;q=0.5, fr-CA;q=0.7", "fr"),
            ("ES", "es"),
            ("en;q=0.1, de;q=nonsense", "en"),
            ("ja", "en"),
            ("", "en"),
            ("fr;q=0", "en"),
        ] {
            let headers: HeaderMap = [(ACCEPT_LANGUAGE, HeaderValue::from_str(wanted).unwrap())].into_iter().collect();
            assert_eq!(of(&headers).tag, spoken, "{wanted}");
        }
        assert_eq!(of(&HeaderMap::new()).tag, "en");
    }
}

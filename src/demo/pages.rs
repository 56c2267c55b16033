//! The demo shop's pages as text: products, markup and the Pixel snippet just as a shop pastes it.
//! Every value that a visitor can choose is encoded for its place. Must not know requests.

use serde_json::Value;
use serde_json::json;

/// One thing on sale.
#[derive(Debug)]
pub struct Product {
    /// Its place in URLs and its content id.
    pub slug: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its price in cents of a euro.
    pub cents: u64,
    /// One sentence.
    pub words: &'static str,
    /// The drawing's path data, in a box of 48 by 48.
    drawing: &'static str,
}

/// Everything on sale.
pub const PRODUCTS: [Product; 6] = [
    Product {
        slug: "kettle",
        name: "Field Kettle",
        cents: 4_900,
        words: "A litre of hot water from a handful of twigs. Spun steel, folding handle.",
        drawing: "M10 20h24l3 20H8zM14 20c0-6 16-6 16 0M22 12V9M36 24l7-5M14 16C14 4 30 4 30 16",
    },
    Product {
        slug: "grinder",
        name: "Camp Grinder",
        cents: 8_900,
        words: "Forty clicks from espresso to French press, and quiet enough for a shared hut.",
        drawing: "M15 18h18v22H15zM17 18l2-7h10l2 7M24 11V6M24 6h14M38 4v5M15 30h18",
    },
    Product {
        slug: "mug",
        name: "Enamel Mug",
        cents: 1_600,
        words: "Chips with dignity. Holds 350 ml and the warmth of your hands.",
        drawing: "M10 14h22v26H10zM32 19h5a4 4 0 0 1 4 4v4a4 4 0 0 1-4 4h-5M16 8c0-3 3-2 3-5M23 8c0-3 3-2 3-5",
    },
    Product {
        slug: "dripper",
        name: "Pour-over Stand",
        cents: 3_800,
        words: "Oiled ash and a brass ring; packs flat under the lid of your pot.",
        drawing: "M12 10h24l-8 14h-8zM8 24h32M11 24v18M37 24v18M6 42h36M24 28v4M24 35v2",
    },
    Product {
        slug: "roast",
        name: "Roast No. 4",
        cents: 1_450,
        words: "Plum, cocoa, a little smoke. Roasted on Tuesdays, sent on Wednesdays.",
        drawing: "M13 8h22v6l3 28H10l3-28zM13 14h22M24 22c-6 4-6 10 0 14 6-4 6-10 0-14zM24 22v14",
    },
    Product {
        slug: "blanket",
        name: "Wool Blanket",
        cents: 12_000,
        words: "Heavy lambswool for the hour before the sun finds the tent.",
        drawing: "M8 12h28a4 4 0 0 1 4 4v24H12a4 4 0 0 1-4-4zM8 20h32M8 28h32M14 40v4M22 40v4M30 40v4M38 40v4",
    },
];

impl Product {
    /// The product of that slug.
    pub fn find(slug: &str) -> Option<&'static Self> {
        PRODUCTS.iter().find(|product| product.slug == slug)
    }

    /// The Pixel's parameters for it.
    pub fn params(&self) -> Value {
        json!({ "content_ids": [self.slug], "content_name": self.name, "content_type": "product",
                "value": amount(self.cents), "currency": "EUR" })
    }

    fn picture(&self) -> String {
        format!(
            "<div class=\"picture\"><svg viewBox=\"0 0 48 48\" aria-hidden=\"true\"><path d=\"{}\"/></svg></div>",
            self.drawing
        )
    }
}

/// Cents as an amount in euros.
pub fn amount(cents: u64) -> f64 {
    // A demo's totals are far below 2^32, where every integer is exact.
    f64::from(u32::try_from(cents).unwrap_or(u32::MAX)) / 100.0
}

fn price(cents: u64) -> String {
    format!("€{}.{:02}", cents / 100, cents % 100)
}

/// A whole page. `matching` is the e-mail for the Pixel's advanced matching, `script` further Pixel calls.
pub fn page(pixel: &str, title: &str, matching: Option<&str>, script: &str, body: &str) -> String {
    let matching = matching.map_or_else(String::new, |email| format!(", {}", in_script(&json!({ "em": email }))));
    let pixel = in_script(&json!(pixel));
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Alder &amp; Pine</title>
<link rel="stylesheet" href="/shop.css">
<!-- Meta Pixel Code -->
<script>
!function(f,b,e,v,n,t,s)
{{if(f.fbq)return;n=f.fbq=function(){{n.callMethod?
n.callMethod.apply(n,arguments):n.queue.push(arguments)}};
if(!f._fbq)f._fbq=n;n.push=n;n.loaded=!0;n.version='2.0';
n.queue=[];t=b.createElement(e);t.async=!0;
t.src=v;s=b.getElementsByTagName(e)[0];
s.parentNode.insertBefore(t,s)}}(window, document,'script','/fbevents.js');
fbq('init', {pixel}{matching});
fbq('track', 'PageView');
{script}
</script>
<!-- End Meta Pixel Code -->
</head>
<body>
<header><a class="mark" href="/">Alder <span>&amp;</span> Pine</a><nav><a href="/">Shop</a><a href="/cart">Cart</a></nav></header>
<main>
{body}
</main>
<footer>A demo shop. Nothing is sold, nothing leaves this machine.</footer>
</body>
</html>
"#
    )
}

/// The landing page.
pub fn landing() -> String {
    let cards: String = PRODUCTS
        .iter()
        .map(|product| {
            let (slug, name, price, picture) = (product.slug, product.name, price(product.cents), product.picture());
            format!(
                "<a class=\"card\" href=\"/product/{slug}\">{picture}<div class=\"text\"><strong>{name}</strong>\
                 <span class=\"price\">{price}</span></div></a>\n"
            )
        })
        .collect();
    format!(
        "<section class=\"hero\"><h1>Good coffee has never needed a roof.</h1>\
         <p>Six things we carry ourselves, made to outlast the car that brings them.</p></section>\n\
         <h2>The whole range</h2>\n<div class=\"grid\">\n{cards}</div>"
    )
}

/// A product's page; its button reports AddToCart before the form leaves.
pub fn product(product: &Product) -> String {
    let params = in_script(&product.params());
    format!(
        "<section class=\"product\">{picture}<div><h1>{name}</h1><p class=\"price\">{price}</p><p class=\"lead\">{words}</p>\
         <form id=\"buy\" method=\"post\" action=\"/cart\"><input type=\"hidden\" name=\"slug\" value=\"{slug}\">\
         <button id=\"add\">Add to cart</button></form></div></section>\n\
         <script>document.getElementById('buy').addEventListener('submit', function () {{ fbq('track', 'AddToCart', {params}); }});</script>",
        picture = product.picture(),
        name = product.name,
        price = price(product.cents),
        words = product.words,
        slug = product.slug,
    )
}

/// The cart with its checkout form.
pub fn cart(items: &[&Product]) -> String {
    if items.is_empty() {
        return "<h1>Your cart</h1><p class=\"note\">It is empty. <a href=\"/\"><u>Have a look around</u></a>.</p>".to_owned();
    }
    let rows: String = items
        .iter()
        .map(|item| {
            format!("<div class=\"row\"><span>{}</span><span class=\"price\">{}</span></div>\n", item.name, price(item.cents))
        })
        .collect();
    let total = price(items.iter().map(|item| item.cents).sum());
    format!(
        "<h1>Your cart</h1><div class=\"panel\">\n{rows}<div class=\"row total\"><span>Total</span><span>{total}</span></div>\n\
         <form method=\"post\" action=\"/checkout\"><label for=\"email\">E-mail</label>\
         <input id=\"email\" type=\"email\" name=\"email\" required placeholder=\"jo@example.com\" autocomplete=\"email\">\
         <label class=\"check\"><input type=\"checkbox\" name=\"capture\" value=\"1\"> The back end reports the captured payment too</label>\
         <button id=\"pay\">Place the order</button></form></div>"
    )
}

/// The Pixel call of the cart's page.
pub fn checkout_script(items: &[&Product]) -> String {
    let slugs: Vec<&str> = items.iter().map(|item| item.slug).collect();
    let params = json!({ "content_ids": slugs, "num_items": slugs.len(), "currency": "EUR",
                         "value": amount(items.iter().map(|item| item.cents).sum()) });
    format!("fbq('track', 'InitiateCheckout', {});", in_script(&params))
}

/// The Pixel call of the thank-you page.
pub fn purchase_script(order: &str, cents: u64, items: &[&str]) -> String {
    let params = json!({ "value": amount(cents), "currency": "EUR", "order_id": order, "content_ids": items,
                         "content_type": "product" });
    format!("fbq('track', 'Purchase', {});", in_script(&params))
}

/// The thank-you page.
pub fn thanks(order: &str, cents: u64) -> String {
    let order = escape(order);
    format!(
        "<h1>Thank you.</h1><div class=\"panel\"><div class=\"row\"><span>Order</span><code id=\"order\">{order}</code></div>\
         <div class=\"row total\"><span>Paid</span><span>{}</span></div>\
         <p class=\"note\">Reload this page, or come back to it tomorrow: it stays one Purchase.</p>\
         <form method=\"post\" action=\"/orders/{order}/capture\"><button class=\"quiet\">Back end: payment captured</button></form></div>",
        price(cents)
    )
}

/// The stand-in for `fbevents.js`, which reports to `board`.
pub fn pixel_script(board: &str) -> String {
    include_str!("assets/pixel.js").replace("__BOARD__", &in_script(&json!(board)))
}

/// JSON that cannot end the script it stands in.
fn in_script(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_cannot_leave_the_script_it_stands_in() {
        let page = page("1", "t", Some("\"</script><script>alert(1)//@x"), "", "");
        assert!(!page.contains("</script><script>alert"));
        assert!(page.contains("\\u003c/script>"));
    }

    #[test]
    fn every_product_is_found_by_its_slug() {
        assert!(PRODUCTS.iter().all(|product| Product::find(product.slug).is_some_and(|found| found.name == product.name)));
    }
}

"""Two pages by an HTTP library: `fetch.py requests|scrapy AGENT URL`; AGENT `-` sends the library's own."""

import sys
from urllib.parse import urljoin

TOOL, AGENT, URL = sys.argv[1:4]


def by_requests():
    import requests

    session = requests.Session()
    if AGENT != "-":
        session.headers.update({"User-Agent": AGENT, "Accept": "text/html,*/*;q=0.8", "Accept-Language": "en-US,en;q=0.9"})
    session.get(URL)
    session.get(urljoin(URL, "/product/1"))


def by_scrapy():
    import scrapy
    from scrapy.crawler import CrawlerProcess

    class Spider(scrapy.Spider):
        name = "shop"
        start_urls = [URL]

        def parse(self, response):
            for link in response.css("#product::attr(href)").getall():
                yield response.follow(link, self.parse_product)

        def parse_product(self, response):
            yield {"title": response.css("title::text").get()}

    settings = {"LOG_LEVEL": "ERROR", "ROBOTSTXT_OBEY": False}
    if AGENT != "-":
        settings["USER_AGENT"] = AGENT
    process = CrawlerProcess(settings)
    process.crawl(Spider)
    process.start()


by_requests() if TOOL == "requests" else by_scrapy()

"""One browser driven by a program, as clients of shops' ads are: `browse.py TOOL MODE AGENT URL`.

TOOL is selenium-chromium, selenium-firefox or playwright; MODE headless or headed; AGENT `-` or a text to claim instead of the
browser's own. Opens the landing page, waits, follows the link to the product by a click, waits.
"""

import os
import sys
import time

TOOL, MODE, AGENT, URL = sys.argv[1:5]
PAUSE = 6.0
CHROMIUM = "/usr/bin/chromium"


def chromium_words():
    words = ["--no-sandbox", "--ignore-certificate-errors", "--disable-gpu", "--window-size=1200,700"]
    return words + ([f"--user-agent={AGENT}"] if AGENT != "-" else [])


def selenium_driver():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service as ChromeService
    from selenium.webdriver.firefox.service import Service as FirefoxService

    if TOOL == "selenium-firefox":
        options = webdriver.FirefoxOptions()
        options.binary_location = "/usr/bin/firefox-esr"
        options.accept_insecure_certs = True
        if MODE == "headless":
            options.add_argument("-headless")
        if AGENT != "-":
            options.set_preference("general.useragent.override", AGENT)
        return webdriver.Firefox(options=options, service=FirefoxService(os.environ.get("GECKODRIVER", "geckodriver")))
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in chromium_words() + (["--headless=new"] if MODE == "headless" else []):
        options.add_argument(word)
    return webdriver.Chrome(options=options, service=ChromeService("/usr/bin/chromedriver"))


def by_selenium():
    from selenium.webdriver.common.by import By

    driver = selenium_driver()
    try:
        driver.get(URL)
        time.sleep(PAUSE)
        driver.find_element(By.ID, "product").click()
        time.sleep(PAUSE)
    finally:
        driver.quit()


def by_playwright():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        browser = tool.chromium.launch(
            executable_path=CHROMIUM, headless=MODE == "headless", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_context(ignore_https_errors=True, user_agent=None if AGENT == "-" else AGENT).new_page()
        page.goto(URL)
        time.sleep(PAUSE)
        page.click("#product")
        time.sleep(PAUSE)
        browser.close()


if TOOL == "playwright":
    by_playwright()
else:
    by_selenium()

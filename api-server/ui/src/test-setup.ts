// Every unit test reads English, whatever the machine's language.
import { i18n } from "./i18n";

await i18n.changeLanguage("en");

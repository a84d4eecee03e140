package io.github.dl4jretention.samples.lesson;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Currency;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.apache.commons.csv.CSVRecord;
import org.junit.jupiter.api.Test;

class FactsTest {

    private static final int ENOUGH = 8000;

    private final Facts facts = Facts.read();

    @Test
    void tables_have_the_facts_that_the_jdk_has() {
        Map<String, Locale> countries = new HashMap<>();
        for (String code : Locale.getISOCountries()) {
            Locale locale = new Locale("", code);
            countries.put(locale.getDisplayCountry(Locale.ENGLISH), locale);
        }
        List<String> differ = new ArrayList<>();
        int known = 0;
        for (CSVRecord row : Facts.table("countries")) {
            Locale locale = countries.get(row.get("country"));
            if (locale != null) {
                known++;
                String currency = Objects.requireNonNull(Currency.getInstance(locale))
                        .getDisplayName(Locale.ENGLISH)
                        .toLowerCase(Locale.ROOT);
                String[] words = row.get("currency").toLowerCase(Locale.ROOT).split(" ");
                if (!currency.contains(words[words.length - 1])) {
                    differ.add(row.get("country") + ": " + currency);
                }
            }
        }
        assertTrue(known > 120, known + " countries that the JDK knows by these names");
        // Names that CLDR spells otherwise, and currencies that an older JDK doesn't know yet.
        assertTrue(differ.size() <= 12, differ.toString());
    }

    @Test
    void tables_are_whole() {
        assertTrue(facts.size() > 1400, facts.size() + " facts");
        Map<String, Integer> numbers = new HashMap<>();
        Set<String> symbols = new HashSet<>();
        for (CSVRecord row : Facts.table("elements")) {
            numbers.put(row.get("symbol"), Integer.valueOf(row.get("number")));
            assertTrue(symbols.add(row.get("symbol")), row.get("symbol"));
            assertEquals(symbols.size(), numbers.get(row.get("symbol")), "one after the other");
        }
        assertEquals(Map.of("H", 1, "Fe", 26, "Ag", 47, "Au", 79, "U", 92), firstFew(numbers));
        for (String table : List.of("countries", "states", "opposites", "works", "events", "elements")) {
            Set<String> subjects = new HashSet<>();
            for (CSVRecord row : Facts.table(table)) {
                assertTrue(subjects.add(row.get(0)), table + ": twice " + row.get(0));
                row.toMap().forEach((column, value) -> assertFalse(value.isBlank(), table + ": no " + column));
            }
        }
    }

    private static Map<String, Integer> firstFew(Map<String, Integer> numbers) {
        Map<String, Integer> few = new HashMap<>(numbers);
        few.keySet().retainAll(Set.of("H", "Fe", "Ag", "Au", "U"));
        return few;
    }

    @Test
    void held_questions_and_wordings_are_in_no_text_but_their_facts_are() {
        String texts = String.join("", facts.documents(ENOUGH, 5));
        List<Asked> held = facts.held(3);
        assertTrue(held.size() >= facts.size() / 5 && held.size() < facts.size() / 4, held.size() + " held");
        for (Asked asked : held) {
            assertFalse(texts.contains(Asked.prompt(asked.question())), asked.question());
        }
        for (Asked asked : facts.reworded(3)) {
            assertFalse(texts.contains(asked.question()), asked.question());
        }
        Map<String, String> statements = Map.of(
                "The capital of France is Paris.", "Paris",
                "The symbol of iron is Fe.", "Fe",
                "The opposite of hot is cold.", "cold",
                "Hamlet is by William Shakespeare.", "William Shakespeare");
        statements.forEach((statement, answer) -> assertTrue(texts.contains(statement), statement));
        assertTrue(texts.contains("Question: "), "some are asked");
    }

    @Test
    void every_fact_is_stated() {
        String texts = String.join("", facts.documents(ENOUGH, 5));
        for (CSVRecord row : Facts.table("countries")) {
            String capital = row.get("capital");
            String country = row.get("country");
            assertTrue(
                    List.of(
                                    "The capital of " + country + " is " + capital + ".",
                                    capital + " is the capital of " + country + ".",
                                    country + " has " + capital + " as its capital.",
                                    "The capital city of " + country + " is " + capital + ".",
                                    "The government of " + country + " sits in " + capital + ".")
                            .stream()
                            .anyMatch(texts::contains),
                    country);
        }
    }

    @Test
    void questions_have_one_right_answer_and_three_of_its_kind() {
        // Belgium's languages are Dutch, French and German, and the opposite of a question is a reply or an answer.
        Set<String> several = Set.of("language", "continent", "currency", "opposite");
        for (Asked asked : facts.held(7)) {
            int others = several.contains(asked.subject()) ? 0 : 3;
            assertEquals(others, new HashSet<>(asked.others()).size(), asked.toString());
            assertFalse(asked.others().contains(asked.answer()), asked.toString());
        }
        Asked capital = facts.reworded(7).stream()
                .filter(asked -> asked.question().equals("What is the name of the capital city of Japan?"))
                .findFirst()
                .orElseThrow();
        assertEquals("Tokyo", capital.answer());
        assertEquals("capital", capital.subject());
    }

    @Test
    void seeds_give_the_same_texts_again() {
        assertEquals(facts.documents(50, 1), Facts.read().documents(50, 1));
        assertEquals(facts.held(1), Facts.read().held(1));
        assertFalse(facts.documents(50, 1).equals(facts.documents(50, 2)));
    }
}

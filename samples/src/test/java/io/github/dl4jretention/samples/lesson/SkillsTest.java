package io.github.dl4jretention.samples.lesson;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.commons.csv.CSVRecord;
import org.junit.jupiter.api.Test;

class SkillsTest {

    private static final Pattern EQUATION = Pattern.compile("(\\d+) ([+-]) (\\d+) = (\\d+)");

    private static void requireRight(String line) {
        Matcher equation = EQUATION.matcher(line);
        if (equation.matches()) {
            int second = Integer.parseInt(equation.group(3));
            int result =
                    Integer.parseInt(equation.group(1)) + (equation.group(2).equals("+") ? second : -second);
            assertEquals(result, Integer.parseInt(equation.group(4)), line);
            assertTrue(result >= 0, line);
        } else if (line.startsWith("Sort: ") || line.startsWith("Reverse: ")) {
            String[] sides = line.substring(line.indexOf(' ') + 1).split(" -> ");
            List<String> letters = new ArrayList<>(Arrays.asList(sides[0].split(" ")));
            if (line.startsWith("Sort: ")) {
                Collections.sort(letters);
            } else {
                Collections.reverse(letters);
            }
            assertEquals(String.join(" ", letters), sides[1], line);
        } else {
            assertTrue(line.matches("[a-z]+ [a-z]+ [a-z]+ -> [a-z]+( [a-z]+)*"), line);
        }
    }

    /** The places of the three words that the answer has, such as "20" for the last and the first. */
    private static String rule(String line) {
        String[] sides = line.split(" -> ");
        List<String> words = Arrays.asList(sides[0].split(" "));
        StringBuilder rule = new StringBuilder();
        for (String word : sides[1].split(" ")) {
            rule.append(words.indexOf(word));
        }
        return rule.toString();
    }

    @Test
    void every_line_is_right_and_a_document_has_one_pattern() {
        Set<String> rules = new HashSet<>();
        for (String document : Skills.documents(500, 4)) {
            List<String> lines = document.strip().lines().toList();
            assertEquals(7, lines.size());
            lines.forEach(SkillsTest::requireRight);
            if (lines.get(0).matches("[a-z].*")) {
                assertEquals(1, lines.stream().map(SkillsTest::rule).distinct().count(), document);
                rules.add(rule(lines.get(0)));
            }
        }
        assertEquals(Set.of("0", "1", "2", "210", "00", "20"), rules);
    }

    @Test
    void what_is_asked_is_in_no_text() {
        Set<String> lines = new HashSet<>();
        Skills.documents(20_000, 1).forEach(document -> document.lines().forEach(lines::add));
        List<Asked> all = new ArrayList<>(Skills.arithmetic(150, 9));
        all.addAll(Skills.lists(150, 9));
        all.addAll(Skills.patterns(150, 9));
        Set<String> questions = new HashSet<>();
        for (Asked asked : all) {
            List<String> shown = asked.question().lines().toList();
            assertEquals(6, shown.size());
            String last = shown.get(5) + " " + asked.answer();
            assertFalse(lines.contains(last), last);
            requireRight(last);
            assertTrue(questions.add(shown.get(5)), "twice " + shown.get(5));
            if (asked.subject().equals("pattern")) {
                assertEquals(rule(shown.get(0)), rule(last), asked.question());
            }
        }
    }

    @Test
    void there_are_fewer_than_asked_for_when_all_of_them_are_there() {
        List<Asked> all = Skills.arithmetic(3000, 9);
        assertTrue(all.size() > 800 && all.size() < 1200, all.size() + ", two times a tenth of 5,050");
        assertEquals(subtractions(all), subtractions(Skills.arithmetic(3000, 10)), "another order of the same");
        assertEquals(3000, Skills.lists(3000, 9).size());
        assertEquals(3000, Skills.patterns(3000, 9).size());
        assertEquals(50 * 50, Problems.elements(3000, 1, Problems.Part.LEARNED).size());
        assertEquals(49 * 49, Problems.elements(3000, 1, Problems.Part.HELD).size());
    }

    private static Set<String> subtractions(List<Asked> all) {
        Set<String> lines = new HashSet<>();
        for (Asked asked : all) {
            if (asked.subject().equals("subtracting")) {
                lines.add(asked.question().lines().toList().get(5));
            }
        }
        return lines;
    }

    @Test
    void worked_problems_come_out_right_and_are_not_asked() {
        List<Problem> learned = new ArrayList<>(Problems.words(400, 1, Problems.Part.LEARNED));
        learned.addAll(Problems.elements(400, 1, Problems.Part.LEARNED));
        List<Problem> held = new ArrayList<>(Problems.words(100, 2, Problems.Part.HELD));
        held.addAll(Problems.elements(100, 2, Problems.Part.HELD));
        for (List<Problem> problems : List.of(learned, held)) {
            for (Problem problem : problems) {
                Matcher equation = EQUATION.matcher(problem.worked());
                int equations = 0;
                String result = "";
                while (equation.find()) {
                    requireRight(equation.group());
                    result = equation.group(4);
                    equations++;
                }
                assertTrue(equations >= 1, problem.worked());
                assertTrue(problem.answer().endsWith("#### " + result), problem.worked());
                assertEquals("Question: " + problem.asked() + "\nAnswer: " + problem.worked(), problem.text());
            }
        }
        Set<String> asked = new HashSet<>();
        learned.forEach(problem -> asked.add(problem.asked()));
        held.forEach(problem -> assertFalse(asked.contains(problem.asked()), problem.asked()));
    }

    @Test
    void elements_that_are_asked_of_are_in_no_problem_to_learn() {
        Set<String> learned = elements(Problems.elements(600, 1, Problems.Part.LEARNED));
        Set<String> held = elements(Problems.elements(600, 1, Problems.Part.HELD));
        assertEquals(99, learned.size() + held.size());
        held.forEach(element -> assertFalse(learned.contains(element), element));
    }

    private static Set<String> elements(List<Problem> problems) {
        Set<String> found = new HashSet<>();
        for (CSVRecord row : Facts.table("elements")) {
            String element = row.get("element");
            problems.stream()
                    .filter(problem -> problem.asked().contains("of " + element + " "))
                    .forEach(problem -> {
                        found.add(element);
                        assertTrue(
                                problem.worked().contains("of " + element + " is " + row.get("number") + "."),
                                problem.worked());
                    });
        }
        return found;
    }

    @Test
    void instructions_have_the_answers_they_ask_for() {
        for (Problem problem : Problems.instructions(300, 1, Problems.Part.LEARNED)) {
            String asked = problem.asked();
            List<String> words = Arrays.asList(
                    asked.substring(asked.indexOf(':') + 2).replace(".", "").split(", "));
            String expected;
            if (asked.startsWith("Write")) {
                String word = asked.replaceAll("Write the word (.*) twice\\.", "$1");
                expected = word + " " + word;
            } else if (asked.startsWith("Give me the last")) {
                expected = words.get(words.size() - 1);
            } else if (asked.startsWith("Give me the first")) {
                expected = words.get(0);
            } else if (asked.startsWith("Count")) {
                expected = Integer.toString(words.size());
            } else if (asked.startsWith("Turn")) {
                List<String> turned = new ArrayList<>(words);
                Collections.reverse(turned);
                expected = String.join(", ", turned);
            } else {
                List<String> left = new ArrayList<>(words);
                left.remove(asked.replaceAll("Leave out the word (.*):.*", "$1"));
                expected = String.join(", ", left);
            }
            assertEquals(expected, problem.answer(), asked);
            assertEquals("Instruction: " + asked + "\nResponse: " + expected, problem.text());
        }
        Set<String> learned = new HashSet<>();
        Problems.instructions(2000, 1, Problems.Part.LEARNED).forEach(problem -> learned.add(problem.asked()));
        Problems.instructions(200, 2, Problems.Part.HELD)
                .forEach(problem -> assertFalse(learned.contains(problem.asked()), problem.asked()));
    }
}

package io.github.dl4jretention.samples.lesson;

import java.util.List;

/**
 * A question with its answer, which no text that a model learns from has in this form.
 *
 * @param subject what it's about
 * @param question without "Question:"
 * @param answer   the right one
 * @param others   wrong answers of the same kind; empty where another answer of the same kind might be right too
 */
public record Asked(String subject, String question, String answer, List<String> others) {

    /** How a question is asked in all texts, as the tasks ask it: the answer follows after a space. */
    static String prompt(String question) {
        return "Question: " + question + "\nAnswer:";
    }

    /** A question with its answer as a piece of text. */
    static String text(String question, String answer) {
        return prompt(question) + " " + answer + "\n\n";
    }
}

package io.github.dl4jretention.tasks.metric;

import java.util.Arrays;
import java.util.Locale;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * When two answers are the same. The rules are those of lm-evaluation-harness 0.4.13
 * (https://github.com/EleutherAI/lm-evaluation-harness), in our own code, where nothing else is said.
 */
public enum AnswerMatch {

    /** The same characters. */
    EXACT("exact") {
        @Override
        String normalized(String answer) {
            return answer;
        }
    },

    /** Without case: {@code ignore_case}. */
    IGNORE_CASE("ignore-case") {
        @Override
        String normalized(String answer) {
            return answer.toLowerCase(Locale.ROOT);
        }
    },

    /** Without case, commas, dollar signs, all up to {@code "#### "} and a full stop at the end: GSM8K 3.0. */
    GSM8K("gsm8k") {
        @Override
        String normalized(String answer) {
            String last = UP_TO_HASHES
                    .matcher(answer.replace(",", "").replace("$", ""))
                    .replaceAll("");
            return FULL_STOP.matcher(last).replaceAll("").toLowerCase(Locale.ROOT);
        }
    },

    /** Without case and ASCII punctuation: TriviaQA 3.0. Spaces and articles count. */
    TRIVIAQA("triviaqa") {
        @Override
        String normalized(String answer) {
            return PUNCTUATION.matcher(answer.toLowerCase(Locale.ROOT)).replaceAll("");
        }
    },

    /**
     * Without case, and with punctuation and articles as white space, which is made one space: TriviaQA's own script,
     * {@code evaluation/triviaqa_evaluation.py} of https://github.com/mandarjoshi90/triviaqa.
     */
    TRIVIAQA_OFFICIAL("triviaqa-official") {
        @Override
        String normalized(String answer) {
            String words = QUOTES.matcher(answer.toLowerCase(Locale.ROOT)).replaceAll(" ");
            return SPACES.matcher(ARTICLES.matcher(words).replaceAll(" "))
                    .replaceAll(" ")
                    .strip();
        }
    },

    /** The same formula, see {@link MathAnswers}: {@code is_equiv} of hendrycks_math 1.0. */
    MATH("math") {
        @Override
        String normalized(String answer) {
            return answer;
        }

        @Override
        public boolean matches(String answer, String reference) {
            return MathAnswers.isEquivalent(answer, reference);
        }
    };

    private static final Pattern UP_TO_HASHES = Pattern.compile("(?s).*#### ");

    /** Also before a line break at the end, as Python's {@code $} has it. */
    private static final Pattern FULL_STOP = Pattern.compile("(?d)\\.$");

    private static final String MARKS = "!-/:-@\\[-`{-~";
    private static final Pattern PUNCTUATION = Pattern.compile("[" + MARKS + "]");
    private static final Pattern QUOTES = Pattern.compile("[" + MARKS + "\u2018\u2019\u00b4]");
    private static final Pattern ARTICLES = Pattern.compile("(?U)\\b(a|an|the)\\b");
    private static final Pattern SPACES = Pattern.compile("(?U)\\s+");

    private final String label;

    AnswerMatch(String label) {
        this.label = label;
    }

    abstract String normalized(String answer);

    /**
     * {@return whether two answers are the same} Two empty ones are.
     *
     * @param answer    of the model, after a filter
     * @param reference a right one
     */
    public boolean matches(String answer, String reference) {
        return normalized(answer).equals(normalized(reference));
    }

    /** {@return its name in task files} */
    public String label() {
        return label;
    }

    /**
     * {@return the rule of a name}
     *
     * @param label such as {@code triviaqa}
     * @throws IllegalArgumentException if there's none; the message lists them
     */
    public static AnswerMatch of(String label) {
        return Arrays.stream(values())
                .filter(match -> match.label.equals(label))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("expected one of "
                        + Arrays.stream(values()).map(AnswerMatch::label).collect(Collectors.joining(", ")) + ", got "
                        + label));
    }
}

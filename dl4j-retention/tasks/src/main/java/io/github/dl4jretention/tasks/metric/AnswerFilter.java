package io.github.dl4jretention.tasks.metric;

import java.util.Arrays;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Finds the answer in what a model wrote. The rules are those of lm-evaluation-harness 0.4.13
 * (https://github.com/EleutherAI/lm-evaluation-harness), in our own code.
 */
public enum AnswerFilter {

    /** All that the model wrote. */
    NONE("none") {
        @Override
        public String apply(String written) {
            return written;
        }
    },

    /** Without white space at its ends, as Python has it: {@code remove_whitespace}, as TriviaQA 3.0 has it. */
    TRIM("trim") {
        @Override
        public String apply(String written) {
            return ENDS.matcher(written).replaceAll("");
        }
    },

    /** The first number after {@code ####}: {@code strict-match} of GSM8K 3.0. */
    STRICT("strict") {
        @Override
        public String apply(String written) {
            Matcher matcher = AFTER_HASHES.matcher(written);
            return matcher.find() ? matcher.group(1).strip() : INVALID;
        }
    },

    /** The last number: {@code flexible-extract} of GSM8K 3.0. */
    LAST_NUMBER("last-number") {
        @Override
        public String apply(String written) {
            return NUMBER.matcher(written)
                    .results()
                    .map(MatchResult::group)
                    .reduce((before, last) -> last)
                    .map(String::strip)
                    .orElse(INVALID);
        }
    },

    /**
     * What is in the last {@code \boxed{...}}: {@code last_boxed_only_string} of the MATH data set's own scripts
     * (https://github.com/hendrycks/math). What they leave out, {@code \fbox{...}} and {@code \boxed 7}, counts too, as it
     * does in solutions.
     */
    BOXED("boxed") {
        @Override
        public String apply(String written) {
            String boxed = MathAnswers.lastBoxed(written);
            return boxed == null ? INVALID : boxed;
        }
    },

    /** What is between the first and the last dollar sign, or everything: hendrycks_math 1.0. */
    DOLLARS("dollars") {
        @Override
        public String apply(String written) {
            int first = written.indexOf('$');
            int last = written.lastIndexOf('$');
            return last > first ? written.substring(first + 1, last) : written;
        }
    };

    /** What a filter gives that finds no answer. */
    public static final String INVALID = "[invalid]";

    private static final Pattern AFTER_HASHES = Pattern.compile("#### (-?[0-9.,]+)");
    private static final Pattern NUMBER = Pattern.compile("-?[$0-9.,]{2,}|-?[0-9]+");
    private static final String SPACE = "[\\s\\x1c-\\x1f]+";
    private static final Pattern ENDS = Pattern.compile("(?U)^" + SPACE + "|" + SPACE + "\\z");

    private final String label;

    AnswerFilter(String label) {
        this.label = label;
    }

    /**
     * {@return the answer}
     *
     * @param written by the model
     */
    public abstract String apply(String written);

    /** {@return its name in task files and reports} */
    public String label() {
        return label;
    }

    /**
     * {@return the filter of a name}
     *
     * @param label such as {@code last-number}
     * @throws IllegalArgumentException if there's none; the message lists them
     */
    public static AnswerFilter of(String label) {
        return Arrays.stream(values())
                .filter(filter -> filter.label.equals(label))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("expected one of "
                        + Arrays.stream(values()).map(AnswerFilter::label).collect(Collectors.joining(", "))
                        + ", got " + label));
    }
}

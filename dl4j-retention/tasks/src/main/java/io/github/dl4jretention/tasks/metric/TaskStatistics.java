package io.github.dl4jretention.tasks.metric;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.ToDoubleFunction;
import org.apache.commons.math3.distribution.BinomialDistribution;

/** Estimates with their standard errors, and tests of a difference between two models on the same questions. */
public final class TaskStatistics {

    private static final long SEED = 1234;

    private static final int RESAMPLES = 1000;

    private static final int TEST_RESAMPLES = 10_000;

    private static final int NEWTON_STEPS = 50;

    /** Keeps the fit finite where one side wins all. */
    private static final double RIDGE = 1e-3;

    private TaskStatistics() {}

    /**
     * {@return the mean of n values, with its standard error {@code s / sqrt(n)}, s the sample's standard deviation with
     * n - 1} For shares of right answers that's {@code sqrt(p (1 - p) / (n - 1))}.
     *
     * @param values at least one
     */
    public static Estimate mean(double[] values) {
        double mean = Arrays.stream(values).average().orElseThrow();
        return new Estimate(mean, deviation(values) / Math.sqrt(values.length));
    }

    private static double deviation(double[] values) {
        double mean = Arrays.stream(values).average().orElseThrow();
        double squares = Arrays.stream(values).map(v -> (v - mean) * (v - mean)).sum();
        return Math.sqrt(squares / (values.length - 1));
    }

    /**
     * {@return a statistic of all questions, with the standard deviation of it over 1000 bootstrap samples of questions}
     * Seeded: the same each time.
     *
     * @param questions numbers of each question
     * @param statistic of some questions, each of which may occur more than once
     */
    public static Estimate bootstrap(double[][] questions, ToDoubleFunction<double[][]> statistic) {
        double value = statistic.applyAsDouble(questions);
        if (questions.length < 2) {
            return new Estimate(value, Double.NaN);
        }
        SplittableRandom random = new SplittableRandom(SEED);
        double[] resampled = new double[RESAMPLES];
        double[][] sample = new double[questions.length][];
        for (int i = 0; i < RESAMPLES; i++) {
            Arrays.setAll(sample, j -> questions[random.nextInt(questions.length)]);
            resampled[i] = statistic.applyAsDouble(sample);
        }
        return new Estimate(value, deviation(resampled));
    }

    /**
     * {@return pass@k of n samples of which c are right: {@code 1 - C(n - c, k) / C(n, k)}, without bias} Source: Chen et
     * al., "Evaluating Large Language Models Trained on Code", https://arxiv.org/abs/2107.03374, equation 1.
     *
     * @param n samples
     * @param c right ones, from 0 to n
     * @param k how many tries, from 1 to n
     */
    public static double passAtK(int n, int c, int k) {
        if (c < 0 || c > n || k < 1 || k > n) {
            throw new IllegalArgumentException(
                    "k: expected 1 <= k <= n and 0 <= c <= n, got k = " + k + ", c = " + c + ", n = " + n);
        }
        double none = 1;
        for (int i = n - c + 1; i <= n; i++) {
            none *= Math.max(0, 1 - (double) k / i);
        }
        return n - c < k ? 1 : 1 - none;
    }

    /**
     * {@return the p-value of McNemar's exact test: of questions that only one of two models got right, how likely a split
     * as uneven as this or more is if both are equally good} Two-sided: {@code min(1, 2 P(X <= min(b, c)))}, X binomial of
     * {@code b + c} and 1/2. 1 if there are none.
     *
     * @param onlyBefore questions that only the first model got right
     * @param onlyAfter  questions that only the second model got right
     */
    public static double mcNemar(int onlyBefore, int onlyAfter) {
        int trials = onlyBefore + onlyAfter;
        if (trials == 0) {
            return 1;
        }
        BinomialDistribution fair = new BinomialDistribution(null, trials, 0.5);
        return Math.min(1, 2 * fair.cumulativeProbability(Math.min(onlyBefore, onlyAfter)));
    }

    /**
     * {@return the p-value of a paired bootstrap: twice the smaller share of 10,000 resamples of questions in which the
     * statistic isn't above, or isn't below 0; NaN for fewer than two questions} At least 1/10,000; seeded.
     *
     * @param questions numbers of each question, of both models
     * @param difference of the two models on some questions
     */
    public static double pairedBootstrap(double[][] questions, ToDoubleFunction<double[][]> difference) {
        if (questions.length < 2) {
            return Double.NaN;
        }
        SplittableRandom random = new SplittableRandom(SEED);
        int above = 0;
        int below = 0;
        double[][] sample = new double[questions.length][];
        for (int i = 0; i < TEST_RESAMPLES; i++) {
            Arrays.setAll(sample, j -> questions[random.nextInt(questions.length)]);
            double value = difference.applyAsDouble(sample);
            above += value > 0 ? 1 : 0;
            below += value < 0 ? 1 : 0;
        }
        int smaller = TEST_RESAMPLES - Math.max(above, below);
        return Math.min(1, Math.max(1, 2 * smaller) / (double) TEST_RESAMPLES);
    }

    /**
     * {@return the win rate that the model would have if its answers were as long as the other's} It's {@code
     * sigmoid(a)} of the logistic regression {@code P(win) = sigmoid(a + b tanh(d / s))}, d the difference of the lengths
     * and s its standard deviation. Source: Dubois et al., "Length-Controlled AlpacaEval", https://arxiv.org/abs/2404.04475,
     * equation 2, without its term of an instruction's difficulty, which needs the answers of many models, and with a
     * penalty of {@value #RIDGE} on a and b, so that it's finite where one side wins all.
     *
     * @param wins        of each question 1 for a win, 0.5 for a tie, 0 for a loss
     * @param differences of the lengths, the model's minus the other's
     */
    public static double lengthControlled(double[] wins, double[] differences) {
        double scale = wins.length < 2 ? 0 : deviation(differences);
        double[] x = Arrays.stream(differences)
                .map(d -> scale > 0 ? Math.tanh(d / scale) : 0)
                .toArray();
        double a = 0;
        double b = 0;
        for (int step = 0; step < NEWTON_STEPS; step++) {
            double ga = -RIDGE * a;
            double gb = -RIDGE * b;
            double aa = RIDGE;
            double ab = 0;
            double bb = RIDGE;
            for (int i = 0; i < x.length; i++) {
                double p = 1 / (1 + Math.exp(-(a + b * x[i])));
                double weight = p * (1 - p);
                ga += wins[i] - p;
                gb += (wins[i] - p) * x[i];
                aa += weight;
                ab += weight * x[i];
                bb += weight * x[i] * x[i];
            }
            double determinant = aa * bb - ab * ab;
            double da = (bb * ga - ab * gb) / determinant;
            double db = (aa * gb - ab * ga) / determinant;
            double size = Math.max(1, Math.hypot(da, db) / 2);
            a += da / size;
            b += db / size;
        }
        return 1 / (1 + Math.exp(-a));
    }
}

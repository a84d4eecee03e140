package io.github.dl4jretention.merge;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/**
 * The greedy soup (Wortsman et al., Model soups, arXiv 2203.05482, recipe 1): models are taken in the order of their
 * validation loss, and each stays in the average if the average is then no worse.
 *
 * <pre>{@code
 * List<MultiLayerNetwork> chosen = GreedySoup.choose(tuned, soup -> loss(average(soup)));
 * MultiLayerNetwork average = Merge.networks(MergeMethod.linear()).models(chosen).merge();
 * }</pre>
 *
 * Leave out candidates whose parameters aren't finite: {@link Merge} refuses them.
 */
public final class GreedySoup {

    private GreedySoup() {}

    /**
     * Chooses the models of the soup.
     *
     * @param <N>    the kind of model, as {@link Merge} takes it
     * @param models candidates, at least one
     * @param loss   validation loss of the uniform average of a list of them; lower is better, NaN worst
     * @return those that stay, best first; a new list
     * @throws IllegalArgumentException if there is no model
     */
    public static <N> List<N> choose(List<N> models, ToDoubleFunction<List<N>> loss) {
        if (models.isEmpty()) {
            throw new IllegalArgumentException("models: expected at least one, got none");
        }
        double[] alone = models.stream()
                .mapToDouble(model -> loss.applyAsDouble(List.of(model)))
                .toArray();
        List<Integer> order = IntStream.range(0, alone.length)
                .boxed()
                .sorted(Comparator.comparingDouble(i -> alone[i]))
                .toList();
        List<N> soup = new ArrayList<>(List.of(models.get(order.get(0))));
        double best = alone[order.get(0)];
        for (int i : order.subList(1, order.size())) {
            soup.add(models.get(i));
            double now = loss.applyAsDouble(List.copyOf(soup));
            if (now <= best) {
                best = now;
            } else {
                soup.remove(soup.size() - 1);
            }
        }
        return soup;
    }
}

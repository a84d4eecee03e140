package io.github.dl4jretention.sweep.space;

import org.apache.commons.math3.random.JDKRandomGenerator;
import org.apache.commons.math3.random.RandomGenerator;
import org.apache.commons.math3.random.SynchronizedRandomGenerator;
import org.deeplearning4j.arbiter.optimize.api.CandidateGenerator;
import org.deeplearning4j.arbiter.optimize.api.ParameterSpace;
import org.deeplearning4j.arbiter.optimize.api.score.ScoreFunction;
import org.deeplearning4j.arbiter.optimize.generator.GeneticSearchCandidateGenerator;
import org.deeplearning4j.arbiter.optimize.generator.GridSearchCandidateGenerator;
import org.deeplearning4j.arbiter.optimize.generator.RandomSearchGenerator;
import org.deeplearning4j.arbiter.optimize.generator.genetic.crossover.ArithmeticCrossover;
import org.deeplearning4j.arbiter.optimize.generator.genetic.crossover.parentselection.RandomTwoParentSelection;
import org.deeplearning4j.arbiter.optimize.generator.genetic.mutation.RandomMutationOperator;
import org.deeplearning4j.arbiter.optimize.generator.genetic.population.PopulationModel;
import org.deeplearning4j.arbiter.optimize.generator.genetic.selection.GeneticSelectionOperator;

/**
 * How a sweep draws its candidates, by one of Arbiter's generators. All random numbers are seeded, so the same seed and
 * the same results give the same candidates.
 */
public sealed interface Search {

    /**
     * {@return a new generator over a space}
     *
     * @param space to draw from; generators set its indices
     * @param score whether more is better, for a search that learns
     * @param seed  of all random numbers; a grid has none
     */
    CandidateGenerator over(ParameterSpace<?> space, ScoreFunction score, long seed);

    /** {@return whether later candidates depend on the results of earlier ones} */
    boolean learns();

    /** {@return whether it ends by itself} */
    boolean ends();

    /**
     * {@return a search of all combinations: every value of a discrete parameter, and so many values of any other,
     * evenly spaced in its distribution}
     *
     * @param points values of a continuous parameter, at least 2
     * @throws IllegalArgumentException if there are fewer
     */
    static Search grid(int points) {
        return new Grid(points);
    }

    /** {@return a search by independent draws from the space's distributions} */
    static Search random() {
        return new Random();
    }

    /**
     * {@return Arbiter's genetic search: first random draws, then mixtures of good candidates with some mutation}
     *
     * @param population candidates to breed from, at least 3
     * @throws IllegalArgumentException if it is smaller
     */
    static Search genetic(int population) {
        return new Genetic(population);
    }

    /**
     * See {@link Search#grid}.
     *
     * @param points values of a continuous parameter, at least 2
     */
    record Grid(int points) implements Search {

        /**
         * Checks the points.
         *
         * @param points values of a continuous parameter
         * @throws IllegalArgumentException if there are fewer than 2 points
         */
        public Grid {
            if (points < 2) {
                throw new IllegalArgumentException("points: expected at least 2, got " + points);
            }
        }

        @Override
        public CandidateGenerator over(ParameterSpace<?> space, ScoreFunction score, long seed) {
            return new GridSearchCandidateGenerator(space, points, GridSearchCandidateGenerator.Mode.Sequential, null);
        }

        @Override
        public boolean learns() {
            return false;
        }

        @Override
        public boolean ends() {
            return true;
        }
    }

    /** See {@link Search#random}. */
    record Random() implements Search {

        @Override
        public CandidateGenerator over(ParameterSpace<?> space, ScoreFunction score, long seed) {
            CandidateGenerator generator = new RandomSearchGenerator(space);
            generator.setRngSeed(seed);
            return generator;
        }

        @Override
        public boolean learns() {
            return false;
        }

        @Override
        public boolean ends() {
            return false;
        }
    }

    /**
     * See {@link Search#genetic}.
     *
     * @param population candidates to breed from, at least 3
     */
    record Genetic(int population) implements Search {

        /**
         * Checks the population.
         *
         * @param population candidates to breed from
         * @throws IllegalArgumentException if the population is smaller than 3
         */
        public Genetic {
            if (population < 3) {
                throw new IllegalArgumentException("population: expected at least 3, got " + population);
            }
        }

        @Override
        public CandidateGenerator over(ParameterSpace<?> space, ScoreFunction score, long seed) {
            RandomGenerator random = new SynchronizedRandomGenerator(new JDKRandomGenerator());
            random.setSeed(seed);
            // At a lower rate Arbiter hands out a parent's own genes, and mutates them in place.
            ArithmeticCrossover crossover = new ArithmeticCrossover.Builder()
                    .crossoverRate(1)
                    .randomGenerator(random)
                    .parentSelection(new RandomTwoParentSelection(random))
                    .build();
            return new GeneticSearchCandidateGenerator.Builder(space, score)
                    .populationModel(new PopulationModel.Builder()
                            .populationSize(population)
                            .build())
                    .selectionOperator(new GeneticSelectionOperator.Builder()
                            .randomGenerator(random)
                            .crossoverOperator(crossover)
                            .mutationOperator(new RandomMutationOperator.Builder()
                                    .randomGenerator(random)
                                    .build())
                            .build())
                    .build();
        }

        @Override
        public boolean learns() {
            return true;
        }

        @Override
        public boolean ends() {
            return false;
        }
    }
}

package io.github.dl4jretention.sweep;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import io.github.dl4jretention.LocaleRule;
import org.junit.jupiter.api.Test;

/** Dependencies point one way; pictures know nothing of sweeps. */
class SweepArchitectureTest {

    private static final JavaClasses CLASSES = new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages("io.github.dl4jretention");

    @Test
    void nothing_is_formatted_in_the_default_locale() {
        LocaleRule.check(CLASSES, "io.github.dl4jretention.sweep..");
    }

    @Test
    void the_core_knows_nothing_of_sweeps() {
        noClasses()
                .that()
                .resideOutsideOfPackage("io.github.dl4jretention.sweep..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("io.github.dl4jretention.sweep..")
                .check(CLASSES);
    }

    @Test
    void pictures_know_nothing_of_this_library() {
        noClasses()
                .that()
                .resideInAPackage("..sweep.plot..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(
                        "io.github.dl4jretention",
                        "io.github.dl4jretention.sweep",
                        "..sweep.report..",
                        "..sweep.outcome..",
                        "..sweep.task..",
                        "..sweep.space..",
                        "..loss..",
                        "..teacher..")
                .check(CLASSES);
    }

    @Test
    void packages_depend_one_way() {
        layeredArchitecture()
                .consideringOnlyDependenciesInLayers()
                .layer("sweep")
                .definedBy("io.github.dl4jretention.sweep")
                .layer("report")
                .definedBy("..sweep.report..")
                .layer("plot")
                .definedBy("..sweep.plot..")
                .layer("outcome")
                .definedBy("..sweep.outcome..")
                .layer("task")
                .definedBy("..sweep.task..")
                .layer("space")
                .definedBy("..sweep.space..")
                .whereLayer("sweep")
                .mayNotBeAccessedByAnyLayer()
                .whereLayer("report")
                .mayOnlyBeAccessedByLayers("sweep")
                .whereLayer("plot")
                .mayOnlyBeAccessedByLayers("sweep", "report")
                .whereLayer("outcome")
                .mayOnlyBeAccessedByLayers("sweep", "report")
                .whereLayer("task")
                .mayOnlyBeAccessedByLayers("sweep", "report", "outcome")
                .whereLayer("space")
                .mayOnlyBeAccessedByLayers("sweep", "report", "outcome", "task")
                .check(CLASSES);
    }
}

package io.github.dl4jretention.tasks;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import org.junit.jupiter.api.Test;

/** Dependencies point one way; nobody below knows of tasks. */
class TasksArchitectureTest {

    private static final String TASKS = "io.github.dl4jretention.tasks";

    private static final JavaClasses CLASSES = new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages("io.github.dl4jretention");

    /** Names of files, their contents and messages would follow the user's language. */
    @Test
    void nothing_is_formatted_in_the_default_locale() {
        noClasses()
                .that()
                .resideInAPackage(TASKS + "..")
                .should()
                .callMethod(String.class, "formatted", Object[].class)
                .orShould()
                .callMethod(String.class, "format", String.class, Object[].class)
                .check(CLASSES);
    }

    @Test
    void models_and_the_core_know_nothing_of_tasks() {
        noClasses()
                .that()
                .resideOutsideOfPackage(TASKS + "..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage(TASKS + "..")
                .check(CLASSES);
    }

    @Test
    void packages_depend_one_way() {
        layeredArchitecture()
                .consideringOnlyDependenciesInLayers()
                .layer("tasks")
                .definedBy(TASKS)
                .layer("file")
                .definedBy(TASKS + ".file..")
                .layer("metric")
                .definedBy(TASKS + ".metric..")
                .layer("sandbox")
                .definedBy(TASKS + ".sandbox..")
                .whereLayer("tasks")
                .mayNotBeAccessedByAnyLayer()
                .whereLayer("file")
                .mayOnlyBeAccessedByLayers("tasks")
                .whereLayer("metric")
                .mayOnlyBeAccessedByLayers("tasks", "file")
                .whereLayer("sandbox")
                .mayOnlyBeAccessedByLayers("tasks")
                .check(CLASSES);
    }

    @Test
    void programs_and_metrics_know_nothing_of_models() {
        noClasses()
                .that()
                .resideInAnyPackage(TASKS + ".metric..", TASKS + ".sandbox..", TASKS + ".file..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("org.deeplearning4j..", "org.nd4j.linalg..", "..lm..")
                .check(CLASSES);
    }
}
